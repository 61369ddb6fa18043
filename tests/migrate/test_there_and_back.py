"""What ``migrate`` writes it reads: there and back gives the same file, for every loss and metric with random parameters."""

import dataclasses

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segparity.cli import main
from segparity.migrate.items import Context, Item, Migrated, Output, Place, Reading, Source
from segparity.migrate.peers import migrate_item
from segparity.migrate.plan import make_plan, parts_of, sentences_of, shorten_places
from segparity.migrate.reading import read_source
from segparity.migrate.writing.keras_module import write_keras_module
from segparity.migrate.writing.mmseg_fragment import write_mmseg_fragment
from shared_spec import LOSSES, METRICS
from tests.support.parameters import specs

WRITERS = {'keras': write_keras_module, 'mmseg': write_mmseg_fragment}
FEW = settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much, HealthCheck.too_slow],
)


def written(spec, world):
    """The code of one spec, for a head beside a metric or for a metric beside a loss."""
    other = METRICS['FineGrained'](num_classes=5, ignore_index=7) if type(spec).__name__ in LOSSES else None
    losses = [spec] if other else [LOSSES['SoftDiceLoss'](ignore_index=7)]
    metric = other or spec
    table = {'loss': losses[0], 'metric': metric}
    place = Place('made.py', 1)
    context = Context('keras', num_classes=metric.num_classes, ignore_index=7)
    source = Source(
        'Keras script',
        'keras',
        outputs=[Output('decode_head', [Item('segparity', 'loss', place=place)], context, place)],
        metrics=[(Item('segparity', 'metric', place=place), context)],
        files=['made.py'],
    )
    plan = make_plan(source, lambda item, c, compat: Migrated(item, [Reading('exact', table[item.name])], c))
    return WRITERS[world](plan)


def migrated(text, to, folder):
    """(code, plan) of a written text, read as a file."""
    path = folder / 'written.py'
    path.write_text(text, encoding='utf-8')
    plan = make_plan(shorten_places(read_source(path)), migrate_item)
    assert plan.complete, (plan.source.unread, [sentences_of(one) for one in plan.items], text)
    return WRITERS[to](plan), plan


def goes_there_and_back(spec, folder):
    for first, second in (('mmseg', 'keras'), ('keras', 'mmseg')):
        text = written(spec, first)
        there, _ = migrated(text, second, folder)
        back, _ = migrated(there, first, folder)
        assert back == text
        again, _ = migrated(back, second, folder)
        assert again == there


@pytest.mark.parametrize('name', list(LOSSES))
@FEW
@given(data=st.data())
def test_losses(name, data, tmp_path):
    given = dict(ignore_index=7) if 'ignore_index' in LOSSES[name].parameters() else {}
    if 'from_logits' in LOSSES[name].parameters():
        given['from_logits'] = True
    spec = data.draw(specs(name, **given))
    if name == 'WeightedSumLoss':
        parts = [
            dataclasses.replace(part, ignore_index=7) if 'ignore_index' in part.parameters() else part
            for part in spec.parts
        ]
        parts = [
            dataclasses.replace(part, from_logits=True) if 'from_logits' in part.parameters() else part
            for part in parts
        ]
        spec = dataclasses.replace(spec, losses=tuple(parts), weights=spec.shares)
    goes_there_and_back(spec, tmp_path)


def test_a_learnt_part_of_a_sum(tmp_path):
    part = dict(type='RobustTLoss', learn_nu=True, nu=2.0, ignore_index=7)
    other = dict(type='SoftDiceLoss', ignore_index=7)
    goes_there_and_back(LOSSES['WeightedSumLoss'](losses=[part, other], weights=[0.25, 0.75]), tmp_path)


@pytest.mark.parametrize('name', list(METRICS))
@FEW
@given(data=st.data())
def test_metrics(name, data, tmp_path):
    goes_there_and_back(data.draw(specs(name)), tmp_path)


@pytest.mark.parametrize('name', list(LOSSES))
@FEW
@given(data=st.data())
def test_the_spec_of_a_loss_stays(name, data, tmp_path):
    given = dict(ignore_index=7) if 'ignore_index' in LOSSES[name].parameters() else {}
    if 'from_logits' in LOSSES[name].parameters():
        given['from_logits'] = True
    spec = data.draw(specs(name, **given))
    if name == 'WeightedSumLoss':
        return
    for world in WRITERS:
        _, plan = migrated(written(spec, world), 'keras', tmp_path)
        assert [part for _, items in plan.outputs for m in items for part in parts_of(m)] == [spec]


def test_the_command_there_and_back(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'config.py').write_text(
        "model = dict(type='EncoderDecoder',\n"
        "    decode_head=dict(type='FCNHead', num_classes=19, loss_decode=[\n"
        "        dict(type='WeightedCrossEntropyLoss', loss_weight=0.25),\n"
        "        dict(type='JaccardMetricLoss', loss_weight=0.75, granularity={'I': 0.5, 'C': 0.5})]),\n"
        "    auxiliary_head=[dict(type='FCNHead', num_classes=19, loss_decode=dict(type=kind)) for kind in\n"
        "                    ('RobustTLoss', 'LovaszSoftmaxLoss')])\n"
        "val_evaluator = [dict(type='FineGrainedMetric', ignore_index=255, q=[1, 5]), dict(type='BoundaryMetric'),\n"
        "                 dict(type='CalibrationMetric', metrics=['SCE'])]\n"
    )
    for source, to, out in (
        ('config.py', 'keras', 'k1.py'),
        ('k1.py', 'mmseg', 'm1.py'),
        ('m1.py', 'keras', 'k2.py'),
        ('k2.py', 'mmseg', 'm2.py'),
    ):
        assert main(['migrate', source, '--to', to, '--out', out]) == 0, capsys.readouterr()
    assert (tmp_path / 'k1.py').read_text() == (tmp_path / 'k2.py').read_text()
    assert (tmp_path / 'm1.py').read_text() == (tmp_path / 'm2.py').read_text()


def test_outputs_of_logits_and_of_probabilities_each_stay_what_they_are(tmp_path):
    (tmp_path / 'two.py').write_text(
        'import keras\nfrom keras import layers\n'
        'x = keras.Input((32, 32, 3))\n'
        "mask = layers.Conv2D(5, 1, activation='softmax', name='mask')(x)\n"
        "edge = layers.Conv2D(1, 1, name='edge')(x)\n"
        'model = keras.Model(x, dict(mask=mask, edge=edge))\n'
        "model.compile('adam', loss=dict(mask=keras.losses.CategoricalCrossentropy(),\n"
        '    edge=keras.losses.BinaryCrossentropy(from_logits=True)), loss_weights=dict(mask=1.0, edge=0.25),\n'
        "    metrics=dict(edge=['accuracy']))\n"
    )
    plan = make_plan(shorten_places(read_source(tmp_path / 'two.py')), migrate_item)
    text = ' '.join(write_keras_module(plan).split())
    assert "'mask': WeightedCrossEntropyLoss(from_logits=False" in text
    assert (
        "'edge': WeightedCrossEntropyLoss( loss_weight=0.25, " in text and text.count('from_logits=True,') == 3
    )  # in the docstring, too
    assert "'edge': [ SegmentationReport(" in text.replace(
        "'edge': [SegmentationReport(", "'edge': [ SegmentationReport("
    )
    (tmp_path / 'written.py').write_text(write_keras_module(plan))
    again = make_plan(shorten_places(read_source(tmp_path / 'written.py')), migrate_item)
    assert len(again.groups) == 1
    fragment = write_mmseg_fragment(again)
    assert 'num_classes' not in fragment  # of either output the metrics of the other do not tell it
    assert 'decode_head=dict(' in fragment and 'auxiliary_head=' in fragment and 'loss_decode_2' not in fragment
