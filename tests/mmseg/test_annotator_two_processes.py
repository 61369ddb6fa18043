"""Several annotators under torchrun: two processes end with the weights of one, and measure what one does."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmseg.registry import METRICS
from PIL import Image

import mmseg_plugin  # noqa: F401
from examples.simulated_annotators import drawn
from shared_spec.annotators import SCORES
from tests.mmseg.annotator_ranks import samples
from tests.mmseg.test_soft_two_processes import LOSSES
from tests.mmseg.test_two_processes import SCRIPT, STEPS, weights
from tests.mmseg.tiny_training import IGNORED, config, logged, write_pictures
from tests.support.assertions import assert_same

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group('annotator_two_processes')]
RATERS = [f'{{folder}}/../rater{k}/{{name}}.png' for k in range(3)]
TWO_PROCESSES = ('-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2')


@pytest.fixture(scope='module')
def annotated(tmp_path_factory):
    """Seven pictures with the maps of three annotators, who ignore what the labels do."""
    folder = write_pictures(tmp_path_factory.mktemp('annotated'), count=7)
    for path in sorted((folder / 'ann').glob('*.png')):
        labels = np.asarray(Image.open(path))
        for k in range(3):
            (folder / f'rater{k}').mkdir(exist_ok=True)
            seen = np.where(labels == IGNORED, IGNORED, drawn(labels, k)).astype(np.uint8)
            Image.fromarray(seen).save(folder / f'rater{k}' / path.name)
    return folder


def prepared(folder, work_dir, batch_size, **changes):
    """The recipe of configs/soft_labels/digits_unet_annotators.py on the tiny model, measured at the end."""
    made = config(
        folder,
        work_dir,
        LOSSES,
        iterations=STEPS,
        batch_size=batch_size,
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.5)),
        custom_hooks=[dict(type='SoftLabelHook')],
        val_cfg=dict(type='ValLoop'),
        val_evaluator=[dict(type='AnnotatorMetric')],
        **changes,
    )
    load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotatorMaps', annotators=RATERS, num_classes=3)]
    average, pack = dict(type='AverageAnnotators', num_classes=3), dict(type='PackSegInputsWithAnnotators')
    loader = made['train_dataloader']
    sampler = dict(type='DefaultSampler', shuffle=False)
    made['val_dataloader'] = dict(
        loader, batch_size=1, sampler=sampler, dataset=dict(loader['dataset'], pipeline=[*load, pack])
    )
    loader['dataset']['pipeline'] = [*load, average, pack]
    made['train_cfg']['val_interval'] = STEPS
    return made


@pytest.mark.skipif(not SCRIPT.is_file(), reason='this MMSegmentation came without its tools')
def test_two_processes_train_and_measure_as_one(annotated, python, train, tmp_path):
    train(prepared(annotated, tmp_path / 'one', 4))
    changes = dict(
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None),
    )
    Config(prepared(annotated, tmp_path / 'two', 2, **changes)).dump(tmp_path / 'two.py')
    commands = json.dumps([[str(SCRIPT), str(tmp_path / 'two.py'), '--launcher', 'pytorch']])
    python(*TWO_PROCESSES, Path(__file__).with_name('host_scripts.py'), commands)
    one, two = tmp_path / 'one', tmp_path / 'two'
    assert_same(weights(two), weights(one), 'float32')
    assert logged(two) == pytest.approx(logged(one), rel=1e-5)
    for name in (*SCORES, 'DiceAnnotator2', 'IoUAnnotator0'):
        (want,), (got,) = logged(one, name).values(), logged(two, name).values()
        assert got == pytest.approx(want, abs=0.02) and 0 < want < 100  # the weights differ by rounding


@pytest.mark.parametrize('processes', [2, 3])
def test_processes_measure_the_last_digit_of_one(processes, python, tmp_path):
    launch = (*TWO_PROCESSES[:-1], f'--nproc-per-node={processes}')
    python(*launch, '-m', 'tests.mmseg.annotator_ranks', tmp_path)
    got = json.loads((tmp_path / 'results.json').read_text())
    metric = METRICS.build(dict(type='AnnotatorMetric'))
    metric.process(None, list(samples()))
    want = metric.evaluate(7)
    assert got['cpu'] == got['gpu'] == want and 'IoUAnnotator2' in want
    short = METRICS.build(dict(type='AnnotatorMetric'))
    short.process(None, list(samples())[:5])
    assert short.evaluate(5)['SoftDice'] != pytest.approx(
        want['SoftDice'], rel=1e-3
    )  # an image more makes a difference
