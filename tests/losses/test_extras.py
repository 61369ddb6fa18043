"""Losses that take more than logits of the classes and labels: what is asked of every other loss, with what they take."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='needs PyTorch')

from mmseg_plugin import losses
from segparity.parity import cases, replay
from segparity.parity.extras import mapped
from shared_spec import LOSSES
from shared_spec.extras import EXTRAS
from tests.losses.test_values import world
from tests.support.assertions import assert_gradient, assert_same
from tests.support.expected import first_example
from tests.support.frameworks import axis
from tests.support.losses import OTHERS

NAMES = pytest.mark.parametrize('name', OTHERS)
NEEDY = pytest.mark.parametrize('name', [name for name in LOSSES if LOSSES[name].needs])
WORLDS = pytest.mark.parametrize('where', ['torch', 'eyes_shut'])


def given(name, case='hard_label'):
    """(spec, case) of a loss's first example."""
    case = cases.build(case)
    spec = replay.spec_for(LOSSES[name], LOSSES[name].examples[first_example(name)], case)
    return spec, case.adapted(spec)


def build(spec):
    return getattr(losses, type(spec).__name__)(**{k: v for k, v in spec.to_mmseg().items() if k != 'type'})


def call(spec, case, module=None, **changes):
    """(value, gradient of pred, name -> gradient of extras) of PyTorch, in float64."""

    def tensor(name, x):
        return torch.tensor(x, requires_grad=name in ('pred', *spec.gradient_of) and x.dtype.kind == 'f')

    module = build(spec) if module is None else module
    pred, extras = tensor('pred', case.pred), {**mapped(case.extras, tensor), **changes}
    weight = None if case.weight is None else torch.tensor(case.weight)
    value = module(pred, torch.tensor(case.target), weight, ignore_index=case.call_ignore_index, **extras)
    value.backward()
    slopes = {name: extras[name].grad.numpy() for name in spec.gradient_of if name in extras}
    return value.detach().numpy(), None if pred.grad is None else pred.grad.numpy(), slopes


def test_the_table_has_what_losses_take():
    assert set(EXTRAS) == {name for spec in LOSSES.values() for name in spec.extras}
    for spec in LOSSES.values():
        assert set(spec.needs) <= set(spec.extras) and set(spec().gradient_of) <= {'pred', *spec().extras_taken}


@NEEDY
def test_what_is_missing_is_one_sentence(name):
    spec, case = given(name)
    for missing in spec.needs:
        rest = {k: x for k, x in case.extras.items() if k != missing}
        sentence = f'{name}: needs {missing}, {EXTRAS[missing].first}, at the call'
        for there in ({}, {missing: None}):
            with pytest.raises(TypeError) as caught:
                spec.reference(case.pred, case.target, **rest, **there)
            assert str(caught.value) == sentence
            with pytest.raises(TypeError) as caught:
                getattr(losses, name)()(torch.tensor(case.pred), torch.tensor(case.target), **there)
            assert str(caught.value).startswith(f'{name}: needs ')


@NAMES
def test_what_nobody_takes_is_refused(name):
    spec, case = given(name)
    with pytest.raises(TypeError, match=f"^{name}: unexpected argument 'embeding'"):
        call(spec, case, embeding=torch.zeros(1))


@NAMES
def test_a_sum_hands_each_part_what_it_takes(name):
    spec, case = given(name)
    want, _, slopes = call(spec, case)
    parts = (
        [spec, spec] if spec.of_branch else [spec, LOSSES['WeightedCrossEntropyLoss'](ignore_index=case.ignore_index)]
    )
    total = losses.WeightedSumLoss(losses=[part.to_dict() for part in parts], weights=[2.0, 0.0], loss_weight=0.5)
    assert total.spec.extras_taken == spec.extras_taken
    found, _, of_sum = call(total.spec, case, total)
    assert_same(found, want, 'float64')
    assert_same(total.spec.reference(case.pred, case.target, **case.call), want, 'float64')
    assert of_sum.keys() == slopes.keys()
    for key, slope in slopes.items():
        assert_same(of_sum[key], slope, 'float64')
    plain = losses.WeightedSumLoss()
    for key in case.extras:
        with pytest.raises(TypeError, match=f"^WeightedSumLoss: unexpected argument '{key}', for no part takes it"):
            plain(torch.zeros(1, 2, 3), torch.zeros(1, 3, dtype=torch.long), **{key: None})


@WORLDS
@NAMES
def test_no_number_from_a_wrong_input(name, where):
    """Predictions that are no numbers, labels of no class, weights that are none."""
    spec, case = given(name)
    pred, label, weight = case.pred.copy(), case.target.copy(), np.ones(case.target.shape)
    # InverseFormLoss knows of no number of classes
    no_class, where_it_is = (-7, 'at least') if 'tiles' in spec.parameters() else (77, 'below')
    pred[0, 0], label[0, 0, 0], weight[0, 0, 0] = np.nan, no_class, -1
    for changes, sentence in (
        (dict(pred=pred), None),
        (dict(target=label), f'target labels must be {where_it_is}'),
        (dict(weight=weight), 'a weight must be a finite number'),
    ):
        wrong = dataclasses.replace(case, **changes)
        if sentence:
            with pytest.raises(ValueError, match=f'^{name}: {sentence}'):
                spec.reference(wrong.pred, wrong.target, wrong.weight, **wrong.call)
        else:
            assert np.isnan(spec.reference(wrong.pred, wrong.target, wrong.weight, **wrong.call))
        with world(where):
            if sentence and where == 'torch':
                with pytest.raises(ValueError, match=f'^{name}: {sentence}'):
                    call(spec, wrong)
                continue
            value, of_pred, slopes = call(spec, wrong)
        assert np.isnan(value), changes.keys()
        assert all(np.isnan(slope).any() for slope in ([of_pred] if 'pred' in spec.gradient_of else slopes.values()))


@WORLDS
@NAMES
def test_no_number_from_an_extra_that_is_none(name, where):
    spec, case = given(name)
    for key, x in case.extras.items():
        if not isinstance(x, tuple) and x.dtype.kind == 'f':
            for value in (np.nan, np.inf):
                wrong = x.copy()
                wrong[0, -1, ..., 0] = value
                assert np.isnan(spec.reference(case.pred, case.target, **{**case.call, key: wrong}))
                changed = dataclasses.replace(case, extras={**case.extras, key: wrong})
                with world(where):
                    found, _, slopes = call(spec, changed)
                assert np.isnan(found) and all(np.isnan(slope).any() for slope in slopes.values()), key


@NAMES
def test_nothing_that_counts_is_0_with_a_graph(name):
    spec, case = given(name, 'all_ignored')
    value, pred, slopes = call(spec, case)
    assert value == 0 and all(np.array_equal(slope, np.zeros_like(slope)) for slope in slopes.values())
    assert pred is None or np.array_equal(pred, np.zeros_like(pred))


@NAMES
def test_no_image_is_0(name):
    spec, case = given(name)
    extras = {k: x[:0] if not isinstance(x, tuple) else tuple(part[:0] for part in x) for k, x in case.extras.items()}
    extras.update({k: x for k, x in case.extras.items() if k == 'classifier'})  # which no image has of its own
    empty = dataclasses.replace(case, pred=case.pred[:0], target=case.target[:0], extras=extras)
    assert call(spec, empty)[0] == 0 and spec.reference(empty.pred, empty.target, **empty.call) == 0


@NAMES
def test_copies_and_half_precision(name):
    spec, case = given(name)
    module = build(spec)
    want = call(spec, case, module)[0]
    for again in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert again.spec == module.spec and call(spec, case, again)[0] == want
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert_same(call(spec, case, module)[0], want, 'exact')


@NAMES
def test_a_loss_of_weight_0_is_0_or_nan(name):
    spec, case = given(name)
    absent = type(spec).from_dict({**spec.to_dict(), 'loss_weight': 0.0})
    value, _, slopes = call(absent, case)
    assert value == 0 and not any(slope.any() for slope in slopes.values())
    pred = case.pred.copy()
    pred[0, 0] = np.nan
    assert np.isnan(call(absent, dataclasses.replace(case, pred=pred))[0])


@pytest.mark.slow
@NAMES
def test_a_whole_graph_of_torch_compile(name):
    spec, case = given(name, 'ignored_border')
    module = build(spec)
    torch._dynamo.reset()
    found = call(spec, case, torch.compile(module, fullgraph=True, backend='aot_eager'))
    want = call(spec, case, module)
    assert_same(found[0], want[0], 'float64')
    for key in want[2]:
        assert_gradient(found[2][key], want[2][key], 'float64_gradient')


@pytest.mark.parametrize(
    'framework',
    [*axis('keras_torch'), *(pytest.param(*f.values, marks=[*f.marks, pytest.mark.slow]) for f in axis('keras_tensorflow', 'keras_jax'))],
)  # fmt: skip
@NAMES
def test_in_keras(name, framework, worker):
    """What is missing, unknown or no number, and what a sum hands on."""
    spec, case = given(name)
    found, _ = worker.call('tests.losses.extras_calls:answers', case.arrays, loss=spec.to_dict())
    for missing in spec.needs:
        sentence = f'TypeError: {name}: needs {missing}, {EXTRAS[missing].last}, at the call'
        assert found['missing'][missing] == sentence
    assert found['unknown'] == f"TypeError: {name}: unexpected argument 'embeding'"
    assert_same(found['sum'], found['value'], 'float32')
    assert_same(found['value'], spec.reference(case.pred, case.target, **case.call), 'float32')
    for key in case.extras:
        assert found['untaken'][key] == f"TypeError: WeightedSumLoss: unexpected argument '{key}', for no part takes it"
    assert found['no_number'] and set(found['no_number'].values()) == {'NaN'}


@pytest.mark.parametrize('name', [name for name in LOSSES if 'embedding' in LOSSES[name].needs])
def test_an_embedding_of_nothing_is_refused(name):
    spec, case = given(name)
    x = case.extras['embedding']
    for nothing in (x[:, :0], x[:, :, :0]):
        with pytest.raises(ValueError, match=f'^{name}: embedding must have channels and pixels, got shape'):
            spec.reference(case.pred, case.target, **{**case.call, 'embedding': nothing})
        with pytest.raises(ValueError, match=f'^{name}: embedding must have channels and pixels, got shape'):
            call(spec, dataclasses.replace(case, extras={**case.extras, 'embedding': nothing}))
