"""What is written runs: the module in Keras, the configuration in MMEngine; and it says what the plan says."""

import dataclasses

import numpy as np
import pytest

from segparity.migrate.items import Context, Item, Migrated, Output, Place, Reading, Source, Unread
from segparity.migrate.plan import make_plan
from segparity.migrate.writing.keras_module import write_keras_module
from segparity.migrate.writing.mmseg_fragment import write_mmseg_fragment
from segparity.migrate.writing.python_text import WIDTH, config, source_text
from shared_spec import LOSSES, METRICS
from tests.support.frameworks import axis

HERE = Place('source.py', 3)
CONTEXT = Context(world='mmseg', num_classes=4, ignore_index=255)
KERAS = pytest.mark.parametrize('framework', axis('keras_torch', 'keras_tensorflow'))


def plan_of(*outputs, metrics=(), world='mmseg', kind='MMSegmentation config', context=CONTEXT, seen_keys=()):
    """A plan whose items are specs: ``outputs`` are (name, specs or readings)."""
    table = {}

    def item(ours):
        reading = ours if isinstance(ours, Reading) else Reading('exact', ours)
        found = Item('mmseg', f'loss_{len(table)}', place=HERE)
        table[found.name] = reading
        return found

    source = Source(
        kind,
        world,
        outputs=[Output(name, [item(ours) for ours in losses], context, HERE) for name, losses in outputs],
        metrics=[(item(spec), context) for spec in metrics],
        files=['source.py'],
        seen_keys=dict(seen_keys),
    )
    return make_plan(source, lambda found, context, compat: Migrated(found, [table[found.name]], context))


def every_example():
    for name, spec in LOSSES.items():
        for label, example in spec.examples.items():
            arguments = {'ignore_index': 255} if 'ignore_index' in spec.parameters() else {}
            yield pytest.param(spec(**{**arguments, **example.params}), id=f'{name}-{label}')


def flat(spec):
    return [part for one in [spec] for part in (flatten_sum(one))]


def flatten_sum(spec):
    from segparity.migrate.plan import flatten

    return list(flatten(spec, 1.0))


@pytest.mark.parametrize('spec', list(every_example()))
def test_the_configuration_of_every_loss_is_its_own(spec):
    pytest.importorskip('mmengine', reason='needs MMEngine')
    from mmengine.config import Config

    text = write_mmseg_fragment(plan_of(('decode_head', [spec])))
    found = Config.fromstring(text, '.py').model.decode_head.loss_decode
    read = [LOSSES[c['type']].from_dict(c.to_dict() if hasattr(c, 'to_dict') else dict(c)) for c in found]
    want = [
        dataclasses.replace(part, from_logits=True) if 'from_logits' in part.parameters() else part
        for part in flat(spec)
    ]
    assert read == want


@KERAS
def test_the_module_of_every_loss_is_its_own(framework, worker):
    specs = [param.values[0] for param in every_example()]
    for spec in specs:
        code = write_keras_module(plan_of(('decode_head', [spec])))
        found, _ = worker.call('tests.migrate.keras_module_calls:run', code=code)
        read = [LOSSES[c.pop('type')].from_keras(c) for c in found['losses']['']]
        want = [
            dataclasses.replace(part, from_logits=True) if 'from_logits' in part.parameters() else part
            for part in flat(spec)
        ]
        assert read == want, code


@pytest.mark.slow
@KERAS
def test_fit_trains_heads_with_what_was_written(framework, worker):
    heads = (
        (
            'decode_head',
            [LOSSES['WeightedCrossEntropyLoss'](ignore_index=255), LOSSES['SoftDiceLoss'](ignore_index=255)],
        ),
        ('auxiliary_head[0]', [LOSSES['JaccardMetricLoss'](ignore_index=255, loss_weight=0.4)]),
    )
    metrics = [METRICS['FineGrained'](num_classes=4, q=[], levels=['D'])]
    code = write_keras_module(plan_of(*heads, metrics=metrics))
    found, _ = worker.call(
        'tests.migrate.keras_module_calls:fit', code=code, channels=4, outputs=['decode_head', 'auxiliary_head_0']
    )
    assert found['loss'][0] == pytest.approx(found['decode_head_loss'][0] + found['auxiliary_head_0_loss'][0], rel=1e-5)
    assert any('mIoUD' in name for name in found)


@pytest.mark.slow
@KERAS
def test_fit_learns_nu_with_what_was_written(framework, worker):
    code = write_keras_module(plan_of(('decode_head', [LOSSES['RobustTLoss'](ignore_index=255)])))
    found, _ = worker.call('tests.migrate.keras_module_calls:fit', code=code, channels=4, outputs=['out'])
    assert np.isfinite(found['loss'][0]) and abs(found['nu'][0] - 1) > 1e-6  # at which it starts


def test_a_configuration_stands_on_its_base(tmp_path):
    pytest.importorskip('mmseg', reason='needs MMSegmentation')
    from mmengine.config import Config
    from mmseg.registry import MODELS

    import mmseg_plugin  # noqa: F401

    (tmp_path / 'base.py').write_text(
        "custom_imports = dict(imports=['json'])\n"
        "model = dict(type='EncoderDecoder', decode_head=dict(type='FCNHead', in_channels=8, channels=8, num_classes=4,\n"
        "    loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, avg_non_ignore=True)),\n"
        "    auxiliary_head=[dict(type='FCNHead', in_channels=8, channels=8, num_classes=4) for _ in range(2)])\n"
        "val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])\n"
    )
    plan = plan_of(
        ('decode_head', [LOSSES['SoftDiceLoss'](ignore_index=255)]),
        ('auxiliary_head[1]', [LOSSES['LovaszSoftmaxLoss'](ignore_index=255)]),
        metrics=[METRICS['FineGrained'](num_classes=4)],
        seen_keys={'custom_imports.imports': ['json']},
    )
    (tmp_path / 'written.py').write_text(write_mmseg_fragment(plan, 'base.py'))
    found = Config.fromfile(tmp_path / 'written.py')
    assert found.custom_imports.imports == ['json', 'mmseg_plugin']
    head = MODELS.build(found.model.decode_head)
    assert [type(loss).__name__ for loss in head.loss_decode] == ['SoftDiceLoss']
    first, second = found.model.auxiliary_head
    assert first.type == second.type == 'FCNHead' and 'loss_decode' not in first
    assert [loss.type for loss in second.loss_decode] == ['LovaszSoftmaxLoss']
    assert [e.type for e in found.val_evaluator] == [e.type for e in found.test_evaluator] == ['FineGrainedMetric']


def test_weights_outside_of_a_loss_are_its_loss_weight():
    source = Source(
        'Keras script',
        'keras',
        outputs=[Output('compile at line 3', [Item('keras', 'x', weight=0.5, place=HERE)], CONTEXT, HERE)],
        files=['train.py'],
    )
    spec = LOSSES['SoftDiceLoss'](loss_weight=3.0)
    plan = make_plan(source, lambda item, context, compat: Migrated(item, [Reading('exact', spec)], context))
    assert 'loss_weight=1.5' in write_mmseg_fragment(plan) and plan.complete


@pytest.mark.parametrize(
    ('weight', 'said'),
    [(Unread('it comes from a file', HERE), 'was not read'), (-1.0, 'is no number'), ('x', 'is no number')],
)
def test_a_weight_that_cannot_be_taken_is_said(weight, said):
    source = Source(
        'Keras script',
        'keras',
        outputs=[Output('compile at line 3', [Item('keras', 'x', weight=weight, place=HERE)], CONTEXT, HERE)],
        files=['train.py'],
    )
    spec = LOSSES['SoftDiceLoss']()
    plan = make_plan(source, lambda item, context, compat: Migrated(item, [Reading('exact', spec)], context))
    text = write_mmseg_fragment(plan)
    assert said in ' '.join(text.split()) and not plan.complete


def test_what_differs_stands_above_the_loss():
    reading = Reading('nearest', LOSSES['SoftDiceLoss'](), differences=['absent classes count 0 in its mean'])
    none = Reading('none', None, differences=['it compares features'])
    plan = plan_of(('decode_head', [reading, none]))
    for text in (write_mmseg_fragment(plan), write_keras_module(plan)):
        lines = [line.strip() for line in text.splitlines()]
        assert '# - absent classes count 0 in its mean' in lines and '# - it compares features' in lines
        assert lines.index('# - absent classes count 0 in its mean') < next(
            i for i, line in enumerate(lines) if 'SoftDiceLoss(' in line or ("'SoftDiceLoss'" in line and i > 8)
        )
    assert not plan.complete


def test_nothing_near_writes_nothing():
    plan = plan_of(('decode_head', [Reading('none', None, differences=['no'])]))
    assert write_keras_module(plan) == '' and write_mmseg_fragment(plan) == ''


def test_scores_become_one_report():
    scores = [
        METRICS['FineGrained'](num_classes=4, levels=['D'], metrics=['mIoU'], q=[]),
        METRICS['FineGrained'](num_classes=4, levels=['C'], metrics=['mDice'], q=[5]),
        METRICS['FineGrained'](num_classes=4, ignore_index=None, levels=['D'], metrics=['mIoU'], q=[]),
    ]
    text = write_keras_module(plan_of(('decode_head', [LOSSES['SoftDiceLoss']()]), metrics=scores))
    assert text.count('SegmentationReport(') == 2
    assert "levels=['D', 'C'], q=[5], metrics=['mIoU', 'mDice']" in ' '.join(text.split()).replace('( ', '(')


@pytest.mark.parametrize('hostile', ['x\n"""\nimport os', 'a\x1b[2J', "'''", '\u2028import os'])
def test_text_of_a_source_stays_a_comment(hostile):
    reading = Reading('nearest', LOSSES['SoftDiceLoss'](), differences=[hostile])
    plan = plan_of((f'compile at {hostile}', [reading]), (f'other {hostile}', [reading]))
    for text in (write_keras_module(plan), write_mmseg_fragment(plan)):
        import ast

        tree = ast.parse(text)
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
        assert '\x1b' not in text and '\u2028' not in text


def test_lines_are_no_wider_than_said():
    long = [0.1 * i for i in range(150)]
    text = source_text(config({'type': 'WeightedCrossEntropyLoss', 'class_weight': long, 'a': {'I': 0.5}}), 8)
    assert all(len(line) <= WIDTH for line in text.splitlines())
    assert eval(text)['class_weight'] == long


def test_on_a_base_a_head_keeps_losses_of_which_one_has_no_equivalent():
    none = Reading('none', None, differences=['it compares features'])
    plan = plan_of(
        ('decode_head', [LOSSES['SoftDiceLoss'](ignore_index=255), none]),
        ('auxiliary_head', [LOSSES['LovaszSoftmaxLoss'](ignore_index=255)]),
        metrics=[METRICS['FineGrained'](num_classes=4), none],
    )
    text = write_mmseg_fragment(plan, 'base.py')
    assert 'SoftDiceLoss' not in text and 'LovaszSoftmaxLoss' in text and 'val_evaluator =' not in text
    assert 'decode_head keeps its losses' in text and 'the evaluators stay as they are' in text
    alone = write_mmseg_fragment(plan)  # for a model that has none of them
    assert 'SoftDiceLoss' in alone and 'val_evaluator =' in alone


@pytest.mark.parametrize(
    ('verdict', 'found', 'want'),
    [
        ('float32', 1e-8, 'float32'),
        ('exact', 0.3, 'nearest'),
        ('exact', float('nan'), 'nearest'),
        ('not yet', float('nan'), 'not yet'),
        ('none', 0.3, 'none'),
    ],
)
def test_what_is_measured_makes_no_verdict_better(verdict, found, want, monkeypatch):
    from segparity.migrate import verify

    monkeypatch.setattr(verify, 'measure', lambda item, reading, context: found)
    reading = Reading(verdict, LOSSES['SoftDiceLoss']())
    plan = verify.measured(plan_of(('decode_head', [reading]), metrics=[METRICS['FineGrained'](num_classes=4)]))
    assert plan.outputs[0][1][0].readings[0].verdict == want
    assert plan.metrics[0].readings[0].measured is not None  # metrics are measured as well
