"""Whole runs through MMSegmentation's Runner and its own training script."""

from pathlib import Path

import mmseg
import pytest
from mmengine.config import Config
from mmseg.registry import METRICS

import mmseg_plugin  # noqa: F401
from tests.mmseg.tiny_training import config, dataloader, logged

SCRIPT = Path(mmseg.__file__).parent / '.mim' / 'tools' / 'train.py'
LOSS = [
    dict(type='WeightedCrossEntropyLoss', loss_weight=0.25),
    dict(type='JaccardMetricLoss', loss_weight=0.75, granularity={'I': 0.5, 'C': 0.5}),
]

needs_script = pytest.mark.skipif(not SCRIPT.is_file(), reason='this MMSegmentation came without its tools')


def test_a_run_learns(pictures, tmp_path, train):
    train(config(pictures, tmp_path, LOSS, iterations=20))
    losses = logged(tmp_path)
    assert losses[20] < 0.8 * losses[1]
    assert logged(tmp_path, 'decode.loss_jaccard_metric').keys() == losses.keys()


@pytest.mark.slow
@needs_script
def test_a_resumed_run_continues_as_if_never_stopped(pictures, tmp_path, train, python):
    train(config(pictures, tmp_path / 'whole', LOSS, iterations=6))
    again = config(pictures, tmp_path / 'resumed', LOSS, iterations=6, load_from=str(tmp_path / 'whole' / 'iter_3.pth'))
    Config(again).dump(tmp_path / 'again.py')
    python(SCRIPT, tmp_path / 'again.py', '--resume')
    whole, resumed = logged(tmp_path / 'whole'), logged(tmp_path / 'resumed')
    assert list(resumed) == [4, 5, 6]
    assert resumed == pytest.approx({i: whole[i] for i in resumed}, rel=1e-5)


@pytest.mark.skipif('FineGrainedMetric' not in METRICS, reason='FineGrainedMetric is not registered')
def test_validation_logs_fine_grained_metrics_and_keeps_the_best(pictures, tmp_path, train):
    changes = dict(
        val_dataloader=dataloader(pictures, 1, endless=False),
        val_cfg=dict(type='ValLoop'),
        # both log an aAcc, which mmengine refuses unless one has a prefix
        val_evaluator=[
            dict(type='IoUMetric', prefix='mmseg'),
            dict(type='FineGrainedMetric', ignore_index=255, q=[1, 5]),
        ],
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=4, val_interval=2),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
            checkpoint=dict(type='CheckpointHook', interval=2, by_epoch=False, save_best='mIoUC', rule='greater'),
        ),
    )
    runner = train(config(pictures, tmp_path, LOSS, iterations=4, **changes))
    results = runner.val_loop.run()
    assert {'mIoUD', 'mIoUI', 'mIoUC', 'mIoUI5', 'mIoUCQ'} <= set(results)
    assert results['mIoUD'] == pytest.approx(results['mmseg/mIoU'], abs=0.01)  # MMSegmentation rounds to two places
    assert len(list(tmp_path.glob('best_mIoUC_iter_*.pth'))) == 1
