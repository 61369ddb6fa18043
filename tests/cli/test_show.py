"""What ``segparity show`` prints to be copied runs as it stands, one process for each world."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from segparity.cli import main
from segparity.usage import classes_built_by, keras_text, known_names
from shared_spec import LOSSES, METRICS

ROOT = Path(__file__).resolve().parents[2]
SPECS = {**LOSSES, **METRICS}
MMSEG = """
import json, sys
from mmengine.config import Config
from mmseg.registry import METRICS, MODELS
import mmseg_plugin

for name, text in json.load(sys.stdin).items():
    config = Config.fromstring(text, '.py')
    evaluators, built = config.get('val_evaluator', []), []
    head = config.model.decode_head if 'model' in config else {}
    for loss in head.get('loss_decode', []):
        built.append(type(MODELS.build(loss)).__name__)
    if 'branches' in head:
        whole = dict(num_classes=4, in_channels=6, channels=6, num_convs=0, concat_input=False)
        for branch in MODELS.build(dict(head, **whole)).branches:
            built += [type(loss).__name__ for loss in branch.loss_branch]
    for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
        built.append(type(METRICS.build(evaluator)).__name__)
    print(json.dumps([name, built]))
"""
TORCH = """
import json, sys

for name, text in json.load(sys.stdin).items():
    names = {}
    exec(text, names)
    print(json.dumps([name, [type(names[k]).__name__ for k in ('loss', 'metric') if k in names]]))
"""
KERAS = """
import json, sys

for name, text in json.load(sys.stdin).items():
    names = {}
    exec(text, names)
    print(json.dumps([name, [type(names[k]).__name__ for k in ('loss', 'metric', 'callback', 'layer') if k in names]]))

import keras_plugin
modules = keras_plugin.layers, keras_plugin.losses, keras_plugin.metrics
print(json.dumps(['public', [name for module in modules for name in module.__all__]]))
"""


def page(capsys, name):
    """The three parts of a page that are to be copied: MMSegmentation's, PyTorch's and Keras'."""
    assert main(['show', name]) == 0
    printed = capsys.readouterr().out
    mmseg, others = printed[printed.index('# MMSegmentation') :].split('# PyTorch', 1)
    return mmseg, *(part.partition('\n')[2] for part in others.split('# Keras', 1))


def run(code, texts, needs, **environment):
    """Name -> what the texts, which are lines to be copied, built in a process of their own."""
    for module in needs:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f'{module} is not installed')
    done = subprocess.run(
        [sys.executable, '-c', code],
        input=json.dumps(texts),
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'TF_CPP_MIN_LOG_LEVEL': '3', **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith('["'))


@pytest.mark.slow
def test_every_line_for_mmsegmentation_runs(capsys):
    texts = {name: page(capsys, name)[0] for name in SPECS}
    built = run(MMSEG, texts, ('torch', 'mmseg', 'mmcv'))
    alone = run(TORCH, {name: page(capsys, name)[1] for name in SPECS}, ('torch',))
    assert alone == {name: [name] for name in SPECS}
    assert set(built) == set(SPECS)
    for name, spec in SPECS.items():
        assert built[name][-1] == getattr(spec, 'mmseg_type', name)


@pytest.mark.slow
def test_every_line_for_keras_runs_and_every_class_has_a_page(capsys):
    backend = next((name for name in ('jax', 'tensorflow', 'torch') if importlib.util.find_spec(name)), None)
    of_keras = {*LOSSES, *(name for spec in SPECS.values() for name in classes_built_by(keras_text(spec)))}
    texts = {name: page(capsys, name)[2] for name in {*SPECS, *of_keras}}
    built = run(KERAS, texts, ('keras', backend or 'a backend of Keras', 'scipy'), KERAS_BACKEND=backend or '')
    assert set(built.pop('public')) - set(known_names()) == {'Loss', 'PixelLoss', 'RegionLoss'}  # bases of the losses
    assert set(built) == set(texts)
    for name in texts:
        assert built[name] and (name in built[name] or name not in of_keras), (name, built[name])


def test_a_class_of_keras_shows_its_own_line(capsys):
    for name in ('MeanIoU', 'SegmentationReport', 'CalibrationError', 'HostMetrics', 'DegreesOfFreedom'):
        assert main(['show', name]) == 0
        out = capsys.readouterr().out
        assert f'{name}: ' in out and out.count(f's.{name}(') == 1
    assert main(['show', 'SegmentationRepord']) == 2
    assert "did you mean 'SegmentationReport'" in capsys.readouterr().err


def test_a_sum_shows_its_members_and_robust_t_its_scale(capsys):
    for part in page(capsys, 'WeightedSumLoss'):
        assert 'WeightedCrossEntropyLoss' in part and 'JaccardMetricLoss' in part
    main(['show', 'RobustTLoss'])
    assert 'Beware: the value is of the order of the number of pixels' in capsys.readouterr().out


def test_lines_are_not_broken_at_the_width_of_the_terminal(capsys, monkeypatch):
    monkeypatch.setenv('COLUMNS', '40')
    assert "dict(type='FineGrainedMetric', ignore_index=255, q=[1, 5])" in page(capsys, 'FineGrained')[0]
