"""What an import loads: the spec loads NumPy only, the Keras world no PyTorch (of MMSegmentation's: tests/mmseg)."""

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
needs_torch = pytest.mark.skipif(importlib.util.find_spec('torch') is None, reason='needs PyTorch')
FRAMEWORKS = {
    'torch',
    'mmengine',
    'mmcv',
    'mmseg',
    'keras',
    'tensorflow',
    'jax',
    'scipy',
    'sklearn',
    'matplotlib',
    'pandas',
}


def loaded(statement, **environment):
    """Top-level modules that a fresh Python has loaded after ``statement``."""
    done = subprocess.run(
        [sys.executable, '-c', f'{statement}\nimport sys\nprint(*{{name.split(".")[0] for name in sys.modules}})'],
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'TF_CPP_MIN_LOG_LEVEL': '3', **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return set(done.stdout.split())


ABOVE = {  # what a package may not import, inside a function either
    'shared_spec': {'mmseg_plugin', 'keras_plugin', 'segparity', 'torch', 'keras', 'pandas'},
    'mmseg_plugin': {'keras_plugin', 'segparity', 'keras', 'pandas'},
    'keras_plugin': {'mmseg_plugin', 'segparity', 'mmseg', 'mmengine', 'pandas'},
}


def imported(path):
    """Top-level names of what a file imports, wherever it does."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.ImportFrom):
            yield node.module.split('.')[0]
        elif isinstance(node, ast.Import):
            yield from (name.name.split('.')[0] for name in node.names)


@pytest.mark.parametrize('package', ABOVE)
def test_arrows_point_downwards(package):
    files = sorted((ROOT / package).rglob('*.py'))
    assert files
    found = [f'{path.relative_to(ROOT)}: {name}' for path in files for name in imported(path) if name in ABOVE[package]]
    assert not found, '\n'.join(found)


@pytest.mark.parametrize('package', ['shared_spec', 'segparity'])
def test_no_framework(package):
    assert not loaded(f'import {package}') & FRAMEWORKS


def test_the_reference_computes_without_a_framework():
    statement = (
        'import numpy as np, shared_spec\n'
        'for name, spec in shared_spec.LOSSES.items():\n'
        '    if name != "WeightedSumLoss" and not spec.on_host:\n'  # GUDHI's diagrams are matched by SciPy
        '        channels = 2 if "many" in spec.channels else 1\n'
        '        y, rng = np.ones((1, 9, 9), int), np.random.default_rng(0)\n'
        '        pred, extras = spec().adapt_case(np.zeros((1, channels, 9, 9)), y, rng)\n'
        '        y = pred if spec.of_features() else y\n'
        '        spec().reference(pred, y, **extras)'
    )
    assert not loaded(statement) & FRAMEWORKS


@pytest.mark.slow
@needs_torch
def test_losses_metrics_and_soft_labels_need_pytorch_alone():
    hosts = 'mmengine', 'mmcv', 'mmseg', 'keras', 'scipy', 'pandas', 'PIL'
    statement = (
        f'import sys\nfor name in {hosts}: sys.modules[name] = None\n'
        'import torch\n'
        'from mmseg_plugin import losses, metrics, soft_labels\n'
        'z, y = torch.randn(2, 2, 9, 9, requires_grad=True), torch.randint(2, (2, 9, 9))\n'
        'for name in losses.__all__:\n'
        '    one = name == "LovaszHingeLoss"\n'
        '    loss = getattr(losses, name)()\n'
        '    if loss.spec.is_plain():\n'
        '        loss(z[:, :1] if one else z, y).backward()\n'
        'for name in set(metrics.__all__) - {"SurfaceDistance"}:\n'
        '    metric = getattr(metrics, name)(2)\n'
        '    metric.update(z, y)\n'
        '    assert metric.compute()\n'
        'assert soft_labels.label_smoothing(y, 0.1, num_classes=2).shape == z.shape\n'
        f'for name in {hosts}: del sys.modules[name]'
    )
    assert not loaded(statement) & {'mmengine', 'mmseg', 'keras'}


@pytest.mark.slow
@needs_torch
def test_the_checker_needs_pytorch_alone():
    statement = (
        'import sys\nfor name in ("mmengine", "mmcv", "mmseg"): sys.modules[name] = None\n'
        'import numpy as np\n'
        'from segparity.parity import torch_side\n'
        'from shared_spec import LOSSES, METRICS\n'
        'rng = np.random.default_rng(0)\n'
        'z, y = rng.normal(size=(2, 3, 8, 9)), rng.integers(0, 3, (2, 8, 9))\n'
        'spec = LOSSES["JaccardMetricLoss"](ignore_index=255)\n'
        'way = dict(way="plain", dtype="float64")\n'
        '_, found = torch_side.value_and_gradient(dict(pred=z, target=y), spec.to_dict(), **way)\n'
        'assert abs(found["value"] - spec.reference(z, y)) < 1e-12 and found["gradient"].shape == z.shape\n'
        'for name, given in (("FineGrained", z.argmax(1)), ("Calibration", z.astype("float32"))):\n'
        '    spec = METRICS[name](num_classes=3)\n'
        '    names, found = torch_side.metric_results(dict(pred=given, target=y), spec.to_dict())\n'
        '    p = np.exp(z) / np.exp(z).sum(1, keepdims=True) if name == "Calibration" else given\n'
        '    want = spec.reference(p, y)\n'
        '    assert names == list(want)\n'
        '    np.testing.assert_allclose(found["values"], list(want.values()), rtol=1e-5)\n'
        'for name in ("mmengine", "mmcv", "mmseg"): del sys.modules[name]'
    )
    assert not loaded(statement) & {'mmengine', 'mmseg', 'keras'}


@pytest.mark.slow
@needs_torch
def test_an_import_does_not_load_the_compiler():
    """Which takes longer than PyTorch itself."""
    statement = (
        'import sys, torch\nbefore = "torch._dynamo" in sys.modules\nimport mmseg_plugin\n'
        'assert before or "torch._dynamo" not in sys.modules'
    )
    assert 'torch' in loaded(statement)


@needs_torch
def test_a_broken_mmsegmentation_stops_nobody(tmp_path):
    (tmp_path / 'mmseg').mkdir()
    (tmp_path / 'mmseg' / '__init__.py').write_text('raise AssertionError("MMCV==9.9 is used but incompatible")')
    for name in ('mmengine', 'mmcv'):
        (tmp_path / name).mkdir()
        (tmp_path / name / '__init__.py').write_text('')
    statement = (
        f'import sys; sys.path.insert(0, {str(tmp_path)!r})\n'
        'import warnings; warnings.simplefilter("error")\n'
        'from mmseg_plugin.losses import JaccardMetricLoss\n'
        'import mmseg_plugin\n'
        'try: mmseg_plugin.bases()\n'
        'except ImportError as error: assert "MMSegmentation cannot be used, " in str(error), error\n'
        'else: raise SystemExit("nothing was said")'
    )
    assert 'torch' in loaded(statement)


@pytest.mark.slow
@pytest.mark.parametrize('backend', ['jax', 'tensorflow'])
def test_the_keras_world_alone(backend):
    if importlib.util.find_spec('keras') is None or importlib.util.find_spec(backend) is None:
        pytest.skip(f'Keras or {backend} is not installed')
    others = {'torch', 'tensorflow', 'mmengine', 'mmseg', 'mmseg_plugin'} - {backend}
    assert not loaded('import keras_plugin', KERAS_BACKEND=backend) & others
