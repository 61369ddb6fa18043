"""A user's .npz file as a case: layouts that are told, arrays that are refused, and what a user should know of them."""

import io
import re
import zipfile

import numpy as np
import pytest

from segparity.parity import data
from segparity.parity.data import likely_cause, read_case
from tests.support.assertions import assert_same

Z = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
Y = np.random.default_rng(1).integers(3, size=(2, 4, 5))
ONE_HOT = np.moveaxis(np.eye(3)[Y], -1, 1)


def last(x):
    return np.moveaxis(x, 1, -1)


@pytest.fixture
def saved(tmp_path):
    def save(**arrays):
        np.savez(tmp_path / 'logits.npz', **arrays)
        return tmp_path / 'logits.npz'

    return save


@pytest.mark.parametrize(
    ('pred', 'target', 'want'),
    [
        (Z, Y, Y),
        (last(Z), Y, Y),
        (Z.astype('f4'), Y[:, None], Y),
        (last(Z), Y[..., None].astype('u1'), Y),
        (Z, ONE_HOT, ONE_HOT),
        (last(Z), last(ONE_HOT), ONE_HOT),
        (Z.astype('>f8'), Y.astype('>i4'), Y),
        (np.asfortranarray(Z), np.asfortranarray(Y), Y),
    ],
    ids=['first', 'last', 'axis_first', 'axis_last', 'one_hot', 'one_hot_last', 'big_endian', 'fortran'],
)
def test_the_layout_is_told_by_shapes(pred, target, want, saved):
    for names in (('pred', 'target'), ('logits', 'labels')):
        case = read_case(saved(**dict(zip(names, (pred, target)))))
        assert case.pred.shape == Z.shape and np.allclose(case.pred, Z, atol=1e-6) and case.pred.dtype == np.float64
        assert np.array_equal(case.target, want) and case.target.dtype.isnative
        assert case.weight is None and case.ignore_index is None and case.from_logits


def test_samples_of_a_classifier(saved):
    """Without spatial axes a file says the same in both layouts."""
    z, y, weight = Z[:, :, 0, 0], Y[:, 0, 0], np.array([1.0, 2.0])
    for target in (y, np.eye(3)[y]):
        case = read_case(saved(pred=z, target=target, weight=weight))
        assert np.array_equal(case.pred, z) and np.array_equal(case.target, target)
        assert np.array_equal(case.weight, weight)
    with pytest.raises(ValueError, match=re.escape('(2, 2)')):
        read_case(saved(pred=z, target=np.eye(2)))


def test_one_channel_has_an_axis_of_its_own(saved):
    z, y = Z[:, :1], Y > 0
    for pred, target in ((z, y), (last(z), y), (z, y[:, None]), (last(z), last(y[:, None]))):
        case = read_case(saved(pred=pred, target=target))
        assert np.array_equal(case.pred, z) and np.array_equal(case.target, y)


def test_a_square_that_may_be_either_is_asked_for(saved):
    z, y = Z[:, :, :3, :3], Y[:, :3, :3]
    path = saved(pred=z, target=y)
    with pytest.raises(ValueError, match='channels may be first or last in predictions .2, 3, 3, 3. .*--layout NCHW'):
        read_case(path)
    assert np.array_equal(read_case(path, layout='NCHW').pred, z)
    assert np.array_equal(read_case(path, layout='NHWC').pred, np.moveaxis(z, -1, 1))
    with pytest.raises(ValueError, match='target must be .N, .space. = .2, 3, 4. to match pred'):
        read_case(saved(pred=Z, target=Y), layout='NHWC')


@pytest.mark.parametrize('pred', [Z, last(Z)])
def test_weights_and_the_ignored_label(pred, saved):
    y = Y.copy()
    y[0, 0] = 255
    w = np.random.default_rng(2).random(Y.shape)
    weights = w, w[:, None] if pred is Z else w[..., None], np.array([0.5, 2.0])
    for weight, want in zip(weights, (w, w, weights[2])):
        case = read_case(saved(pred=pred, target=y, weight=weight, ignore_index=255))
        assert np.array_equal(case.weight, want) and case.ignore_index == 255
    assert read_case(saved(pred=pred, target=y), ignore_index=255).ignore_index == 255
    assert read_case(saved(pred=pred, target=Y), probabilities=True).from_logits is False


REFUSED = {
    'no_labels': (dict(pred=Z), 'must have an array target or labels for the labels, it holds pred'),
    'a_typo': (dict(pred=Z, lables=Y), "is 'lables' what is called 'labels' here?"),
    'two_of_them': (dict(pred=Z, logits=Z, target=Y), 'has pred and logits, expected one of them'),
    'objects': (dict(pred=Z, target=np.array([None, 1])), 'target holds Python objects'),
    'complex': (dict(pred=Z * 1j, target=Y), 'pred must hold numbers, got complex128'),
    'structured': (dict(pred=np.zeros(2, 'V2'), target=Y), 'bfloat16 is saved as float32'),
    'text': (dict(pred=Z, target=np.array(['a'])), 'target must hold labels, got <U1'),
    'ids_as_predictions': (
        dict(pred=Y, target=Y),
        'pred must be floating point, got int64; class ids have no gradient',
    ),
    'empty': (dict(pred=Z[:0], target=Y[:0]), 'pred is empty'),
    'one_image': (dict(pred=Z[0, 0], target=Y[0]), 'one image needs an axis of length 1 in front'),
    'other_sizes': (dict(pred=Z, target=Y[:, :3]), 'labels (2, 3, 5) do not fit predictions (2, 3, 4, 5)'),
    'other_weights': (dict(pred=Z, target=Y, weight=np.ones((2, 7))), 'weight must be one number per pixel'),
    'two_ignored': (dict(pred=Z, target=Y, ignore_index=[1, 2]), 'ignore_index must be one whole number'),
    'ignored_half': (dict(pred=Z, target=Y, ignore_index=0.5), 'ignore_index must be one whole number'),
    'half_ids': (dict(pred=Z, target=Y + 0.5), 'target labels must be whole numbers, got '),
    'void': (dict(pred=Z, target=np.where(Y == 2, 255, Y)), 'ids from 0 to 2 for 3 channels, got 255 in '),
    'minus_one': (dict(pred=Z, target=Y - 1), '--ignore-index -1 leaves such pixels out'),
    'from_one': (dict(pred=Z, target=Y + 1), 'got 3 in '),
    'two_255': (dict(pred=Z[:, :2], target=255 * (Y > 0)), 'masks of 0 and 255 are divided by 255'),
    'one_255': (dict(pred=Z[:, :1], target=255 * (Y > 0)), 'masks of 0 and 255 are divided by 255'),
}


@pytest.mark.parametrize('name', list(REFUSED))
def test_refused_in_one_sentence(name, saved):
    arrays, words = REFUSED[name]
    path = saved(**arrays)
    with pytest.raises(ValueError) as caught:
        read_case(path)
    assert words in str(caught.value) and str(path) in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('found', 'classes', 'words'),
    [
        ([0, 255], 2, 'divided by 255'),
        ([255], 2, 'divided by 255'),
        ([0, 1, 255], 2, '--ignore-index 255'),
        ([0, 255], 3, '--ignore-index 255'),
        ([-1, 0, 1], 2, '--ignore-index -1'),
        ([0, 65535], 2, '--ignore-index 65535'),
        ([1, 2, 3], 3, 'subtract 1'),
        ([1, 2, 3, 255], 3, 'subtract 1'),
        ([0, 1, 2, 3], 3, 'is 0 what reduce_zero_label=True leaves out'),
        ([0, 1, 2, 3, 255], 3, 'is 0 what reduce_zero_label=True leaves out'),
        ([0, 7, 18], 3, 'the largest is 18'),
    ],
)
def test_the_likely_cause(found, classes, words):
    assert words in likely_cause(np.array(found), classes)


def test_ids_that_do_not_count_may_be_anything(saved):
    y, w = Y.copy(), np.ones(Y.shape)
    y[0, 0], w[0, 0] = 77, 0
    assert (read_case(saved(pred=Z, target=y, weight=w)).target[0, 0] == 77).all()


def test_what_a_user_should_know_is_said(saved):
    z = Z.copy()
    z[0, 0, 0, 0], z[0, 1, 1, 1:3] = np.nan, np.inf
    said = []
    read_case(saved(pred=z, target=Y, images=Y, weights=Y), notes=said.append)
    assert [re.sub('^.*npz: ', '', text) for text in said] == [
        'the array images is not used',
        'the array weights is not used; did you mean weight?',
        'pred: 1 of 120 numbers are NaN where pixels count',
        'pred: 2 of 120 numbers are infinite where pixels count',
    ]
    for arrays, words in (
        (dict(pred=ONE_HOT, target=Y), 'look like probabilities'),
        (dict(pred=Z, target=np.full_like(Y, 255), ignore_index=255), 'no pixel counts'),
    ):
        said.clear()
        read_case(saved(**arrays), notes=said.append)
        assert len(said) == 1 and words in said[0]
    said.clear()
    read_case(saved(pred=ONE_HOT, target=Y), probabilities=True, notes=said.append)
    assert not said


def test_as_many_images_as_fit_are_compared_and_that_is_said(saved, monkeypatch):
    monkeypatch.setattr(data, 'LARGEST', 100)
    said = []
    case = read_case(saved(pred=Z, target=Y, weight=np.array([1.0, 2.0])), notes=said.append)
    assert case.pred.shape == (1, 3, 4, 5) and len(case.target) == len(case.weight) == 1
    assert said and 'pred: the first 1 of 2 images are compared, which are 60 numbers' in said[0]
    monkeypatch.setattr(data, 'LARGEST', 59)
    with pytest.raises(ValueError, match='has 60 numbers in each image, and at most 59 are compared; crop'):
        read_case(saved(pred=Z, target=Y))


def npy(descr, shape, content=b''):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, dict(descr=descr, fortran_order=False, shape=shape))
    return stream.getvalue() + content


def test_damaged_and_hostile_files_are_one_sentence(tmp_path):
    path = tmp_path / 'x.npz'
    good = npy('<i8', (2, 4, 5), Y.astype('<i8').tobytes())
    for content, words in (
        (npy('<f8', (2, 3, 4, 5), b'\0' * 100), 'ends before its 2 images do'),
        (npy('<f8', (2, 10**9, 10**9)), 'labels (2, 4, 5) do not fit'),
        (npy('<f8', (2, 10**12, 4, 5)), 'has 20,000,000,000,000 numbers in each image'),
        (npy('<f8', (2, -3, 4, 5)), 'is empty'),
        (b'\x93NUMPY\x09\x00' + b' ' * 100, 'of the .npy version (9, 0)'),
        (b'no array', 'cannot be read'),
    ):
        with zipfile.ZipFile(path, 'w') as archive:
            archive.writestr('pred.npy', content)
            archive.writestr('target.npy', good)
        with pytest.raises(ValueError) as caught:
            read_case(path)
        assert words in str(caught.value) and '\n' not in str(caught.value)
    whole = path.read_bytes()
    for content in (b'', whole[:40], whole[:-30], b'text'):
        path.write_bytes(content)
        with pytest.raises(ValueError, match='is no .npz file'):
            read_case(path)
    np.save(path, Z)
    (tmp_path / 'x.npz.npy').replace(path)
    with pytest.raises(ValueError, match='this is a .npy file of one array'):
        read_case(path)
    with pytest.raises(OSError):
        read_case(tmp_path / 'nowhere.npz')


def test_extras_of_losses_come_from_the_file(tmp_path):
    """Those of images channels first, those of no image as they are, an array of another name not at all."""
    rng, said = np.random.default_rng(0), []
    embedding, boundary = rng.normal(size=(2, 6, 7, 5)), rng.integers(0, 2, (2, 12, 14))
    weight, bias = rng.normal(size=(3, 5)), rng.normal(size=3)
    arrays = dict(embedding=embedding, boundary=boundary, conv_weight=weight, conv_bias=bias, embeding=bias)
    np.savez(tmp_path / 'd.npz', pred=rng.normal(size=(2, 12, 14, 3)), target=rng.integers(0, 3, (2, 12, 14)), **arrays)
    case = read_case(tmp_path / 'd.npz', notes=said.append)
    assert set(case.extras) == {'embedding', 'boundary', 'classifier'}
    assert_same(case.extras['embedding'], np.moveaxis(embedding, -1, 1), 'exact')
    assert_same(case.extras['boundary'], boundary, 'exact')
    assert all(np.array_equal(got, want) for got, want in zip(case.extras['classifier'], (weight, bias)))
    assert said == [f'{tmp_path / "d.npz"}: the array embeding is not used; did you mean embedding?']
