"""Both plugins' soft labels: by hand, as NumPy defines them, as JDTLosses' code made them; and what they refuse."""

import numpy as np
import pytest

from segparity.parity.frameworks import FRAMEWORKS
from shared_spec import soft_labels
from tests.metrics.boundary_rules import arrays, index
from tests.soft_labels.cases import AS_DEFINED, BY_HAND, REFUSED, THREE, crowd, random_specks, with_absent
from tests.soft_labels.messages import message
from tests.support.assertions import assert_same
from tests.support.frameworks import axis

EVERY = pytest.mark.parametrize('framework', axis())
FOUR = pytest.mark.parametrize('framework', axis('torch', 'keras_tensorflow', 'keras_jax', 'keras_torch'))
TENSORFLOW = pytest.mark.parametrize('framework', axis('keras_tensorflow'))


def ask(worker, function, target=None, **arguments):
    where = 'torch_calls' if worker.framework == 'torch' else 'keras_calls'
    sent = None if target is None else {'target': target}
    return worker.call(f'tests.soft_labels.{where}:{function}', sent, **arguments)


def soft(worker, function, target, **arguments):
    """The soft labels in the framework's widest precision, and the name of its tolerance."""
    dtype = FRAMEWORKS[worker.framework]['precisions'][-1]
    (found, kept), result = ask(worker, 'soft', target, name=function, dtype=dtype, **arguments)
    assert found == dtype and kept
    return result['soft'], dtype


@pytest.mark.quick_on('keras_jax')
@FOUR
@pytest.mark.parametrize('case', BY_HAND, ids=lambda case: case.name)
def test_by_hand(case, framework, worker):
    traced = framework.startswith('keras_jax')  # operation by operation costs more there
    got, tolerance = soft(worker, case.function, case.target, traced=traced, **case.params)
    assert_same(got, np.array(case.want, np.float64), tolerance)


@pytest.mark.slow_on('keras_tensorflow')
@FOUR
@pytest.mark.parametrize('case', AS_DEFINED, ids=lambda case: case.name)
def test_as_defined(case, framework, worker):
    options = dict(class_axis=case.class_axis, as_list=case.as_list, traced=True)
    got, tolerance = soft(worker, case.function, case.target, **case.params, **options)
    want = getattr(soft_labels, case.function)(case.target, **case.params)
    assert_same(got, want, tolerance)
    maps = case.target if case.function == 'average_annotators' else case.target[None]
    somebody = (maps != case.params.get('missing')).any(0)
    assert_same(got.sum(1), ((maps != case.params.get('ignore_index')).all(0) & somebody) * 1.0, tolerance)


@FOUR
@pytest.mark.parametrize('weighting', ['uniform', 'dice'])
def test_who_is_absent_leaves_no_trace(weighting, framework, worker):
    maps = with_absent(crowd(9, (4, 7, 6)), -1)
    params = dict(weighting=weighting, ignore_index=255)
    got, _ = soft(worker, 'average_annotators', maps, missing=-1, **params)
    for n in range(3):
        there = maps[(maps[:, n] != -1).all((1, 2)), n : n + 1]
        assert len(there) == (8, 7, 9)[n]
        want, _ = soft(worker, 'average_annotators', there, **params)
        assert_same(got[n : n + 1], want, 'exact')
        if weighting == 'dice':
            even, _ = soft(worker, 'average_annotators', there, ignore_index=255)
            assert abs(want - even).max() > 1e-3
    assert not got[3].any()


@pytest.mark.slow_on('keras_tensorflow')
@FOUR
def test_maps_that_are_missing_in_part_are_nan_there(framework, worker):
    maps = with_absent(crowd(3, (4, 7, 6)), -1)
    want = np.array(soft_labels.average_annotators(maps, ignore_index=255, missing=-1))
    maps[1, 2, 3, 4] = -1
    want[2, :, 3, 4] = np.nan
    got = ask(worker, 'unchecked', maps, name='average_annotators', missing=-1, ignore_index=255)[1]['soft']
    assert_same(got, want, 'float32')


@TENSORFLOW
@pytest.mark.parametrize('weighting', ['uniform', pytest.param('dice', marks=pytest.mark.slow)])
def test_ragged_annotators_through_a_padded_batch(weighting, framework, worker):
    masks = crowd(3, (4, 7, 6))
    lists = [masks[: 1 + n % 3, n] for n in range(4)]
    sent = {f'maps.{n}': maps for n, maps in enumerate(lists)}
    given = dict(weighting=weighting, ignore_index=255)
    [shape], found = worker.call('tests.soft_labels.keras_calls:ragged_pipeline', sent, annotators=3, **given)
    assert shape == [None, 7, 6, 2]
    want = np.concatenate([soft_labels.average_annotators(maps[:, None], **given) for maps in lists])
    assert_same(found['soft'], want, 'float32')


@pytest.mark.slow_on('keras_tensorflow')
@EVERY
@pytest.mark.parametrize('case_id', [*index('bls'), *index('ls'), 'raters_7'])
def test_published(case_id, framework, worker):
    case, params = arrays(case_id), index('bls', 'ls', 'raters')[case_id]['params']
    given = {k: params[k] for k in ('epsilon', 'num_classes', 'ignore_index') if k in params}
    if case_id.startswith('raters'):
        got, tolerance = soft(worker, 'average_annotators', case['raters'][:, None], weighting='dice', traced=True)
        kept = np.broadcast_to(case['keep_mask'][None, None] == 1, got.shape)  # the source ignores the rest afterwards
        assert_same(got[kept], case['expected_soft'][None][kept], 'float32')
        return
    function = 'label_smoothing'
    if case_id.startswith('bls'):
        function, given['window'] = 'boundary_label_smoothing', params['k']
    got, tolerance = soft(worker, function, case['label'], traced=True, **given)
    counts = np.broadcast_to(case['label'][:, None] != params['ignore_index'], got.shape)
    assert_same(got, np.where(counts, case['expected_soft'], 0), tolerance)


@FOUR
def test_float32_by_default_and_others_on_demand(framework, worker):
    target = random_specks((2, 7, 6))
    want = soft_labels.label_smoothing(target, 0.1, **THREE)
    (dtype, _), result = ask(worker, 'soft', target, name='label_smoothing', epsilon=0.1, **THREE)
    assert dtype == 'float32'
    assert_same(result['soft'], want, 'float32')
    for function, params in (('label_smoothing', dict(epsilon=0.1)), ('average_annotators', {})):
        labels = target if params else np.stack([target, target, 0 * target])
        want = getattr(soft_labels, function)(labels, **params, **THREE)
        (dtype, _), result = ask(worker, 'soft', labels, name=function, dtype='bfloat16', **params, **THREE)
        assert dtype == 'bfloat16'
        assert_same(result['soft'], want, 'bfloat16')


@FOUR
@pytest.mark.parametrize('name', REFUSED)
def test_refused_in_the_words_of_the_spec(name, framework, worker):
    function, params, change = REFUSED[name]
    target = np.array([[0, 1, 1]])
    target = target if change is None else change(target)
    want = message(getattr(soft_labels, function), target, **params)
    assert want.startswith(('ValueError: ', 'TypeError: ')) and '\n' not in want
    got = ask(worker, 'refusal', target, name=function, **params)[0]
    assert got.replace('torch.float64', 'float64').replace('ignore_class', 'ignore_index') in {
        want,
        want.replace('float64', 'float32'),  # JAX without x64
    }


@FOUR
def test_refused_by_the_host(framework, worker):
    found = ask(worker, 'own_refusals')[0]
    assert found['none'] == (
        'ValueError: average_annotators: targets must be (annotators, N, *space) with an annotator, got (0,)'
    )
    for name, what in dict(nothing='None', one_is_none='None as number 1').items():
        sentence = f'average_annotators: targets must have a label map for each annotator, got {what}'
        assert found[name] == f'TypeError: {sentence}'
    assert found['shapes'] == 'ValueError: average_annotators: targets must have one shape, got (1, 3) and (1, 2)'
    assert found['dtype'].startswith('ValueError: label_smoothing: dtype must be a floating point')
    assert found['dtype_name'].startswith('ValueError: label_smoothing: dtype must be a floating point')
    if framework == 'torch':
        assert found['array'] == 'TypeError: label_smoothing: target must be a tensor, got ndarray'


@FOUR
@pytest.mark.parametrize('label', [2, -1])
def test_a_stray_label_is_refused_where_looking_is_free(label, framework, worker):
    target, params = np.array([[0, 1, label]]), dict(epsilon=0.1, num_classes=2)
    want = message(soft_labels.label_smoothing, target, **params)
    if framework != 'torch':
        want = want.replace('ignore_index', 'ignore_class')
    assert ask(worker, 'refusal', target, name='label_smoothing', **params)[0] == want


@FOUR
@pytest.mark.parametrize('function', ['label_smoothing', 'boundary_label_smoothing', 'average_annotators'])
def test_a_stray_label_is_nan_where_it_is_not_free(function, framework, worker):
    target, params = random_specks((2, 7, 6)), dict(num_classes=3)
    if function == 'average_annotators':
        target = np.stack([target, np.zeros_like(target)])
    else:
        params['epsilon'] = 0.3
    want = np.array(getattr(soft_labels, function)(target, ignore_index=255, **params), np.float64)
    stray = (target == 255).any(0) if function == 'average_annotators' else target == 255
    want = np.where(stray[:, None], np.nan, want)
    assert stray.any() and not stray.all()
    assert_same(ask(worker, 'unchecked', target, name=function, **params)[1]['soft'], want, 'float32')


@TENSORFLOW
@pytest.mark.parametrize('known', [(7, 6), (None, None), (None, None, 1)], ids=str)
@pytest.mark.parametrize('function', ['label_smoothing', 'boundary_label_smoothing'])
def test_in_a_tf_data_pipeline(function, known, framework, worker):
    target, params = random_specks((3, 7, 6)), dict(THREE, epsilon=0.3)
    sent = target[..., None] if len(known) == 3 else target
    [shape], result = ask(worker, 'in_a_pipeline', sent, name=function, known=known, **params)
    assert shape == [None, *known[:2], 3]
    assert_same(result['soft'], getattr(soft_labels, function)(target, **params), 'float32')


@TENSORFLOW
def test_unknown_axes_are_refused(framework, worker):
    found = ask(worker, 'unknown_axes')[0]
    assert 'label_smoothing: target must have a known number of axes, give it with set_shape' in found['rank']
    assert 'targets must have a known number of annotators, got (?, 2, 4)' in found['annotators']


@pytest.mark.gpu
@pytest.mark.parametrize('case', [*BY_HAND, *AS_DEFINED], ids=lambda case: case.name)
def test_on_a_gpu(case):
    torch = pytest.importorskip('torch', reason='needs PyTorch')
    if not torch.cuda.is_available():
        pytest.skip('needs a CUDA device')
    from tests.soft_labels.torch_calls import soft

    options = dict(class_axis=case.class_axis, as_list=case.as_list, dtype='float64', device='cuda')
    (_, kept), result = soft({'target': case.target}, case.function, **case.params, **options)
    assert kept
    assert_same(result['soft'], getattr(soft_labels, case.function)(case.target, **case.params), 'float64')
