"""The repairs: what they mend, that they refuse what they should, and that they leave a sound installation alone."""

import importlib.metadata
import importlib.util
import pickle
import re
import sys
from pathlib import Path

import mmengine
import mmseg
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner import checkpoint

from mmseg_plugin import compat

compiled = importlib.util.find_spec('mmcv._ext') is not None
mended_fork = hasattr(checkpoint, 'get_torch_safe_globals')


def test_every_repair_is_made_at_most_once():
    compat.apply()
    before = compat.applied()
    compat.apply()
    assert compat.applied() == before
    assert set(before) <= {repair.__name__ for repair in compat.REPAIRS}


def test_the_page_lists_every_repair():
    page = Path(__file__).resolve().parents[2] / 'docs' / 'install.md'
    named = re.findall(r'^\| `(\w+)` \| .* \|$', page.read_text(encoding='utf-8'), re.MULTILINE)
    repairs = [repair.__name__ for repair in compat.REPAIRS]
    assert [name for name in named if name in repairs] == repairs
    assert 'makes seven repairs' in page.read_text(encoding='utf-8') and len(repairs) == 7


@pytest.mark.slow
def test_importing_the_package_loads_neither_the_models_nor_another_world(python):
    modules = python('-c', 'import sys, mmseg_plugin; print(*sys.modules)').split()
    assert 'mmseg_plugin.losses' in modules
    assert not {'mmseg.models', 'keras', 'tensorflow', 'jax', 'keras_plugin'} & set(modules)
    assert ('mmcv._ext' in modules) == compiled


@pytest.mark.skipif(compiled, reason='mmcv is compiled here: its ops are real')
def test_a_missing_op_fails_when_called_and_not_before():
    from mmcv.ops import nms
    from mmcv.utils import ext_loader

    assert 'mmcv._ext' not in sys.modules
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    with pytest.raises(RuntimeError, match=r"^mmcv op 'nms' needs a compiled mmcv, .*mim install"):
        nms(boxes, torch.ones(1), 0.5)
    assert not hasattr(ext_loader.load_ext('_ext', ['nms']), '__path__')
    with pytest.raises(ModuleNotFoundError):
        ext_loader.load_ext('no_such_extension', ['nms'])


class Anything:
    """Stores a call of ``function`` in a pickle."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.skipif(mended_fork, reason='this MMEngine loads its checkpoints by itself')
@pytest.mark.parametrize(
    'stored',
    [
        Anything(getattr, HistoryBuffer, '__init__'),
        Anything(getattr, HistoryBuffer, 'update'),
        Anything(getattr, torch.Tensor, 'mean'),
        Anything(eval, '1'),
    ],
    ids=['dunder_of_a_known_class', 'method_not_stored', 'class_not_stored', 'builtin'],
)
def test_a_checkpoint_gets_nothing_but_what_mmengine_stores(tmp_path, stored):
    torch.save({'meta': stored}, tmp_path / 'bad.pth')
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / 'bad.pth')


@pytest.mark.skipif(mended_fork, reason='this MMEngine loads its checkpoints by itself')
def test_a_history_buffer_comes_back_whole(tmp_path):
    buffer = HistoryBuffer([1, 2.5], [1, 3])
    torch.save(buffer, tmp_path / 'buffer.pth')
    back = torch.load(tmp_path / 'buffer.pth')
    assert [list(column) for column in back.data] == [[1, 2.5], [1, 3]]
    assert back.statistics('mean') == buffer.statistics('mean')


def test_a_config_can_build_on_one_of_mmsegmentations(tmp_path):
    (tmp_path / 'mine.py').write_text("_base_ = ['mmseg::_base_/models/fcn_r50-d8.py']\n")
    assert Config.fromfile(tmp_path / 'mine.py').model.decode_head.type == 'FCNHead'


def test_a_package_that_is_not_there_is_not_found():
    assert mmengine.utils.is_installed('mmsegmentation') and not mmengine.utils.is_installed('no_such_package')
    assert Path(mmengine.utils.get_installed_path('mmsegmentation')) == Path(mmseg.__file__).parent
    with pytest.raises(Exception, match='no_such_package'):
        mmengine.utils.get_installed_path('no_such_package')


def test_a_picture_of_planes_is_drawn_on_as_any_other():
    import numpy as np
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample
    from mmseg.visualization import SegLocalVisualizer

    picture = np.random.default_rng(0).integers(256, size=(3, 32, 40), dtype=np.uint8).transpose(1, 2, 0)
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.ones(1, 32, 40, dtype=torch.long)))
    drawn = []
    for image in (picture, np.ascontiguousarray(picture)):
        visualizer = SegLocalVisualizer(name=f'planes {len(drawn)}')
        visualizer.dataset_meta = dict(classes=('ground', 'box'), palette=[[0, 0, 0], [255, 0, 0]])
        visualizer.add_datasample('x', image, sample, draw_pred=False)
        drawn.append(visualizer.get_image())
    assert np.array_equal(*drawn) and not np.array_equal(drawn[0], picture)


class TestSoundInstallation:
    """Where nothing is broken, a repair answers False and what it would replace stays the very same object."""

    def test_compiled_mmcv(self, monkeypatch):
        from mmcv.utils import ext_loader

        before = ext_loader.load_ext
        monkeypatch.setattr(importlib.util, 'find_spec', lambda name: object())
        assert not compat.answer_for_missing_mmcv_ops()
        assert ext_loader.load_ext is before

    def test_fork_that_loads_its_checkpoints(self, monkeypatch):
        monkeypatch.setattr(checkpoint, 'get_torch_safe_globals', list, raising=False)
        before = torch.serialization.get_safe_globals()
        assert not compat.let_torch_load_checkpoints()
        assert torch.serialization.get_safe_globals() == before

    def test_torch_before_weights_only(self, monkeypatch):
        monkeypatch.delattr(checkpoint, 'get_torch_safe_globals', raising=False)
        monkeypatch.setattr(torch, '__version__', torch.torch_version.TorchVersion('2.5.1'))
        assert not compat.let_torch_load_checkpoints()

    def test_cuda(self, monkeypatch):
        before = mmengine.dist.utils._init_dist_pytorch
        monkeypatch.setattr(mmengine.device, 'get_device', lambda: 'cuda')
        assert not compat.launch_without_cuda()
        assert mmengine.dist.utils._init_dist_pytorch is before

    def test_setuptools_with_pkg_resources(self, monkeypatch):
        before = mmengine.utils.package_utils.is_installed
        monkeypatch.setattr(importlib.util, 'find_spec', lambda name: object())
        monkeypatch.setattr(importlib.metadata.Distribution, 'discover', lambda name: [object()])
        assert not compat.find_installed_packages()
        assert mmengine.utils.package_utils.is_installed is before


ASKED = """
import sys
sys.modules[sys.argv[1]] = None
import mmseg_plugin.losses, mmseg_plugin.__main__

for asked in (mmseg_plugin.bases, lambda: mmseg_plugin.evaluation, lambda: mmseg_plugin.__main__.main([])):
    try:
        asked()
    except Exception as error:
        print(f'{type(error).__name__}: {error}')
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ('host', 'sentence'),
    [
        ('mmengine', "MMEngine, which is not installed: pip install 'segparity[mmseg,mmcv-lite]'"),
        ('mmcv', "mmcv, which is not installed: pip install 'segparity[mmcv-lite]'"),
        ('mmseg', "MMSegmentation, which is not installed: pip install 'segparity[mmseg,mmcv-lite]'"),
    ],
)
def test_a_missing_host_is_one_sentence_with_its_remedy(python, host, sentence):
    said = python('-c', ASKED, host).splitlines()
    assert said == [f'ImportError: mmseg_plugin needs {sentence}'] * 3
