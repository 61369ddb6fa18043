"""The configurations of ``configs/demo`` train on the demo's scenes, stop, go on as if they had not, and are evaluated."""

from pathlib import Path

import numpy as np
import pytest

from tests.mmseg.tiny_training import logged

pytest.importorskip('sklearn', reason='the scenes are of the digits of scikit-learn')

DEMO = Path(__file__).parents[2] / 'configs/demo'
NAMES = sorted(path.stem for path in DEMO.glob('digits_unet_*.py'))


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    from segparity.demo import dataset
    from segparity.demo.settings import Settings

    folder = tmp_path_factory.mktemp('scenes')
    dataset.write_data(folder, Settings(iterations=4, val_every=4, train_scenes=16, val_scenes=4))
    return folder / 'data'


def shortened(name, data, work_dir, **changes):
    """A configuration with four steps, of which each is logged and every second keeps a checkpoint."""
    from mmengine.config import Config

    config = Config.fromfile(DEMO / f'{name}.py')
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.dataset.data_root = str(data)
    config.train_dataloader.batch_size = 4
    config.train_cfg.update(max_iters=4, val_interval=2)
    config.param_scheduler.total_steps = 4
    config.default_hooks.checkpoint.interval = 2
    config.default_hooks.logger.interval = 1
    config.log_processor = dict(by_epoch=False, window_size=1)
    config.merge_from_dict(dict(work_dir=str(work_dir), randomness=dict(seed=0), log_level='ERROR', **changes))
    return config


@pytest.mark.slow
@pytest.mark.parametrize('name', NAMES)
def test_trains_resumes_and_is_evaluated(name, data, train, tmp_path):
    if 'topology' in name:
        pytest.importorskip('gudhi', reason="pip install 'segparity[topology]'")
    runner = train(shortened(name, data, tmp_path / 'whole'))
    checkpoint = str(tmp_path / 'whole' / 'iter_2.pth')
    rest = train(shortened(name, data, tmp_path / 'rest', load_from=checkpoint, resume=True))
    want, got = (logged(tmp_path / folder) for folder in ('whole', 'rest'))
    assert sorted(want) == [1, 2, 3, 4] and sorted(got) == [3, 4]
    assert all(np.isfinite(value) for value in want.values())
    found, again = runner.test(), rest.test()
    assert 0 < found['mIoUD'] < 100 and 0 < found['mIoUI'] < 100
    if 'pixel_contrast' not in name:  # which draws its pixels from a generator that a checkpoint does not keep
        assert got == {step: want[step] for step in (3, 4)}
        assert again['mIoUD'] == found['mIoUD'] and again['mIoUI'] == found['mIoUI']
