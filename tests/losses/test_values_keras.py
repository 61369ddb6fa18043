"""One wrong pixel, Keras: a sentence where values can be seen, elsewhere NaN in value and gradient, never a number."""

import numpy as np
import pytest

from shared_spec import LOSSES
from tests.support.assertions import TOLERANCES, assert_same
from tests.support.frameworks import axis
from tests.support.losses import PLAIN

KERAS = ('keras_tensorflow', 'keras_jax', 'keras_torch')
BACKENDS = pytest.mark.parametrize('framework', axis(*KERAS))
FORMS = ('ids', 'probabilities', 'sigmoid', 'soft', 'one', 'one_hard')
QUICK = ('ids', 'soft', 'one_hard')
SOME = ['JaccardMetricLoss', 'WeightedCrossEntropyLoss', 'LovaszHingeLoss', 'RegionMutualInformationLoss']
SPOILED = ['NaN', 'NaN']


def ask(worker, function, **arguments):
    return worker.call(f'tests.losses.value_calls:{function}', **arguments)[0]


def only_nan(found):
    """The outcomes that are not NaN in value and gradient; a sigmoid of -inf alone is fine.

    Other labels have another hinge, which is flat elsewhere.
    """
    wrong = {(name, fault): got for name, one in found.items() for fault, got in one.items() if got != SPOILED}
    for fault in ('every_label', 'every_label, weight 0'):
        if wrong.get(('LovaszHingeLoss', fault)) == ['NaN', 'mixed']:
            del wrong['LovaszHingeLoss', fault]
    if wrong.get(('RegionMutualInformationLoss', 'nothing'), [0])[0] == np.inf:
        del wrong['RegionMutualInformationLoss', 'nothing']
    return wrong


@pytest.mark.slow_on('keras_tensorflow')
@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax_x64'))
def test_every_loss_compiled(framework, worker):
    """Beside it in the same calls: whatever an ignored pixel or one of weight 0 holds, value and gradient stay the same.

    JAX compiles quickly here; some losses as users compile them are below.
    """
    found = ask(worker, 'traced_outcomes', form='ids', jit=True)
    assert set(found) == {name for name in PLAIN if 'many' in LOSSES[name].channels}
    assert not only_nan(found)


@pytest.mark.parametrize('framework', axis('keras_tensorflow'))
def test_some_losses_compiled(framework, worker):
    found = ask(worker, 'traced_outcomes', form='ids', jit=True, names=SOME[:2])
    assert set(found) == set(SOME[:2]) and not only_nan(found)


@pytest.mark.slow
@pytest.mark.parametrize('framework', axis('keras_torch'))
@pytest.mark.parametrize(
    'form', [form if form in QUICK else pytest.param(form, marks=pytest.mark.slow) for form in FORMS]
)
def test_every_loss_on_every_form_of_input(form, framework, worker):
    found = ask(worker, 'traced_outcomes', form=form, jit=False)
    assert found and not only_nan(found)


@pytest.mark.slow_on('keras_tensorflow')
@BACKENDS
def test_a_wrong_number_shows_where_a_part_is_left_out(framework, worker):
    assert ask(worker, 'wrong_where_a_part_is_left_out', jit=framework != 'keras_torch') == []


@pytest.mark.slow  # some losses: the next test
@pytest.mark.parametrize('framework', axis('keras_tensorflow'))
def test_every_loss_on_soft_labels_in_a_graph(framework, worker):
    """Where TensorFlow's softmax spares classes, and NaN stands in maps of labels."""
    found = ask(worker, 'traced_outcomes', form='soft', jit=False)
    assert len(found) > 10 and not only_nan(found)


@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax'))
@pytest.mark.parametrize(
    'form', [form if form in ('ids', 'soft') else pytest.param(form, marks=pytest.mark.slow) for form in FORMS]
)
def test_some_losses_on_every_form_of_input(form, framework, worker):
    """JAX compiled, TensorFlow without XLA."""
    found = ask(worker, 'traced_outcomes', form=form, jit=framework == 'keras_jax', names=SOME)
    assert found and not only_nan(found)


@pytest.mark.slow
@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_torch'))
@pytest.mark.parametrize('granularity', [*'DIC', {'D': 0.5, 'I': 0.25, 'C': 0.25}], ids=str)
def test_every_mean_over_cells(granularity, framework, worker):
    names = None if framework == 'keras_torch' else ['SoftDiceLoss']
    for form in ('ids', 'probabilities', 'soft'):
        found = ask(worker, 'traced_outcomes', form=form, jit=False, granularity=granularity, names=names)
        assert found and not only_nan(found)


@pytest.mark.slow_on('keras_tensorflow')
@BACKENDS
@pytest.mark.parametrize(
    'form', [form if form in ('ids', 'soft', 'one') else pytest.param(form, marks=pytest.mark.slow) for form in FORMS]
)
def test_the_reference_s_sentence_where_values_can_be_seen(form, framework, worker):
    few = SOME if form in ('ids', 'one_hard') or framework != 'keras_jax' else SOME[:1]  # op by op JAX takes its time
    found = ask(worker, 'eager_outcomes', form=form, names=None if framework == 'keras_torch' else few)
    sentences = 0
    for name, one in found.items():
        for fault, (got, want) in one.items():
            if isinstance(want, str) and 'probabilities' in want and framework == 'keras_jax':
                want = SPOILED  # the prediction is traced where jax.grad takes its gradient
            if want == ['number', 'NaN']:  # -inf under sigmoid
                assert (name, fault, got) == ('RegionMutualInformationLoss', 'nothing', [np.inf, 'finite'])
                continue
            assert got == want, (name, fault)
            sentences += isinstance(want, str)
    assert sentences >= 3


@BACKENDS
def test_an_unreduced_loss_is_nan_at_the_pixel_alone(framework, worker):
    assert ask(worker, 'pixel_by_pixel') == [[0, 0, 0], [0, 0, 1], [0, 0, 2]]


@BACKENDS
@pytest.mark.parametrize('form', ['ids', 'soft', 'one_hard'])
def test_a_logit_of_minus_infinity_is_probability_0(form, framework, worker):
    """A class that never occurs may be masked: as with -1e4; a true class costs the formula's limit."""
    names = None if framework == 'keras_torch' else ['ComboLoss', 'WeightedCrossEntropyLoss', 'JaccardMetricLoss']
    for name, (absent, own) in ask(worker, 'never', form=form, names=names).items():
        far = LOSSES[name].needs_areas  # to which a pixel that is sure is infinitely far from its neighbours
        for value, low, off in (absent, own):
            assert off != 'NaN' and (off <= TOLERANCES['float32_gradient'][0] or (far and value == 'inf')), name
            assert value == 'inf' or abs(value - low) <= 1e-6 * max(1, abs(low)), name
        assert absent[0] != 'inf' or far, name
        if name == 'WeightedCrossEntropyLoss' and form != 'soft':
            assert own[0] == 'inf'


@BACKENDS
def test_labels_of_every_dtype(framework, worker):
    found = ask(worker, 'label_dtypes')
    want = found['int32'][0]
    for dtype in ('uint8', 'uint16', 'int32', 'uint32', 'int64', 'uint64', 'float32', 'float64'):
        assert_same(found[dtype][0], want, 'float32', dtype)
        assert found[dtype][1].startswith('ValueError: JaccardMetricLoss: target labels must be below 3, got ')
        assert_same(found[dtype + ' one-hot'], found['int32 one-hot'], 'float32', dtype)
    for dtype in ('uint32', 'uint16', 'int64'):
        assert_same(found[dtype][2], want, 'float32', dtype)
    assert_same(found['one channel'], np.full(5, found['one channel'][0]), 'float32')
    assert 'whole numbers, got 0.5' in found['fraction']


@pytest.mark.slow_on('keras_tensorflow')
@BACKENDS
def test_a_prediction_that_is_no_number_shows_without_any_label(framework, worker):
    names = ['JaccardMetricLoss', 'WeightedCrossEntropyLoss', 'ComboLoss', 'FocalTverskyLoss']
    assert ask(worker, 'unlabelled', jit=framework != 'keras_torch', names=names) == []


@pytest.mark.slow_on('keras_tensorflow')
@BACKENDS
def test_one_hot_labels_of_losses_of_class_ids_name_one_class(framework, worker):
    for name, one in ask(worker, 'several_labels', jit=framework != 'keras_torch').items():
        for named, found in one.items():
            sentence = f'ValueError: {name}: one-hot labels must name one class in each pixel, got {named}'
            assert found[0].startswith(sentence)
            assert found[1:] == [SPOILED, 'finite'], (name, named)


@pytest.mark.slow_on('keras_tensorflow')
@BACKENDS
def test_no_pixels_and_no_images_are_0(framework, worker):
    assert ask(worker, 'nothing', names=SOME if framework == 'keras_jax' else list(PLAIN)) == []


@BACKENDS
@pytest.mark.parametrize('setting', ['float16', 'bfloat16', 'float64'])
def test_floatx_changes_nothing(setting, framework, worker):
    some = dict(forms=['ids'], names=['ExponentialLogarithmicLoss', 'GeneralizedDiceLoss', 'LovaszSoftmaxLoss'])
    no_difference(ask(worker, 'floatx', setting=setting, **(EVERYTHING if framework == 'keras_torch' else some)))


@pytest.mark.slow
@pytest.mark.parametrize('framework', axis('keras_tensorflow'))
@pytest.mark.parametrize('setting', ['float16', 'bfloat16', 'float64'])
def test_floatx_changes_nothing_of_any_loss(setting, framework, worker):
    no_difference(ask(worker, 'floatx', setting=setting, **EVERYTHING))


EVERYTHING = dict(forms=['ids', 'soft', 'one_hard'])


def no_difference(found):
    assert found
    for name, (value, gradient) in found.items():
        assert value <= TOLERANCES['float32'][0] and gradient <= TOLERANCES['float32_gradient'][0], name


@pytest.mark.slow_on('keras_tensorflow')
@BACKENDS
def test_callbacks_of_a_compiled_fit_see_the_nan(framework, worker, tmp_path):
    jit = framework != 'keras_torch'
    found = ask(worker, 'fit', folder=str(tmp_path), jit=jit)
    assert not found['saved']  # no model is the best with such a loss
    assert found['steps'] == [0, 1, 2]


@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_torch'))
def test_debugging_raises_the_sentence_from_fit(framework, worker):
    said, warned = ask(worker, 'debugging', jit=False)
    assert 'JaccardMetricLoss: target labels must be below 3, got 200' in said and not warned


@pytest.mark.quick_on('keras_jax')
@pytest.mark.parametrize('framework', axis('keras_jax'))
def test_debugging_raises_the_sentence_from_a_compiled_fit(framework, worker):
    said, warned = ask(worker, 'debugging', jit=True)
    assert 'JaccardMetricLoss: target labels must be below 3, got 200' in said and not warned


@pytest.mark.slow
@pytest.mark.parametrize(
    'framework', [*axis('keras_tensorflow'), *(pytest.param(f, marks=pytest.mark.slow) for f in ('keras_torch',))]
)
def test_debugging_says_where_it_cannot_look(framework, worker):
    said, warned = ask(worker, 'debugging', jit=True)
    assert said == '[nan]'
    assert warned and 'model.compile(jit_compile=False) raises the sentence' in warned[0]
