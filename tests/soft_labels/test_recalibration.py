"""``DirichletRecalibration``: the published case, the formula by hand, keys that are drawn, files, and both plugins."""

import math
import re

import numpy as np
import pytest

import shared_spec.recalibration
from shared_spec import SpecError
from shared_spec.recalibration import DirichletRecalibration, KeySampler
from tests.metrics.boundary_rules import arrays, index
from tests.support.assertions import assert_same
from tests.support.frameworks import axis

KEYS = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])


def published():
    """The case of JDTLosses: the recalibration, probabilities (1, 3, 8, 8), and what its code made of them."""
    case, entry = arrays('kde_c3'), index('kde')['kde_c3']
    keys = case['prob'].reshape(3, -1)[:, case['key_index']].T
    made = DirichletRecalibration(keys, case['key_label'], bandwidth=entry['params']['bandwidth'])
    return made, case['prob'][None], entry, case['expected_prob_kde'][None]


def simplex(shape, seed=0, classes=3, sharp=1.0):
    return np.moveaxis(np.random.default_rng(seed).dirichlet([sharp] * classes, size=shape), -1, 1)


def test_published_case():
    made, prob, entry, want = published()
    np.testing.assert_allclose(made.recalibrate(prob), want, rtol=entry['rtol'], atol=entry['atol'])


def density(p, a):
    """Of the Dirichlet distribution with the parameters a."""
    norm = math.gamma(sum(a)) / math.prod(math.gamma(x) for x in a)
    return norm * math.prod(x ** (y - 1) for x, y in zip(p, a))


def test_by_hand():
    p, weights = np.array([0.5, 0.3, 0.2]), [1.0, 2.0, 0.5]
    made = DirichletRecalibration(KEYS, np.array([0, 1, 0]), weights, bandwidth=0.25)
    k = [w * density(p, key / 0.25 + 1) for w, key in zip(weights, KEYS)]
    assert_same(made.recalibrate(p[None])[0], np.array([k[0] + k[2], k[1], 0]) / sum(k), 'float64')


def test_weights_are_how_many_pixels_a_key_stands_for():
    prob, labels = simplex((2, 5)), np.array([0, 1, 2])
    once = DirichletRecalibration(KEYS, labels, [3, 1, 2]).recalibrate(prob)
    several = DirichletRecalibration(np.repeat(KEYS, [3, 1, 2], 0), np.repeat(labels, [3, 1, 2])).recalibrate(prob)
    assert_same(once, several, 'float64')
    assert_same(once.sum(1), np.ones((2, 5)), 'float64')


def test_parts_are_the_whole(monkeypatch):
    made, prob, _, _ = published()
    whole = made.recalibrate(prob)
    monkeypatch.setattr(shared_spec.recalibration, 'WORK', 7 * 12)
    assert_same(made.recalibrate(prob), whole, 'exact')


def test_probabilities_at_the_corners_are_numbers_and_nan_stays_in_its_pixel():
    made, prob, _, want = published()
    prob = prob.copy()
    prob[0, :, 0, 0], prob[0, 1, 0, 1] = [1, 0, 0], np.nan
    found = made.recalibrate(prob)
    assert_same(found[0, :, 0, 0].sum(), 1.0, 'float64')
    assert np.isnan(found[0, :, 0, 1]).all() and np.isnan(found).sum() == 3
    np.testing.assert_allclose(found[0, :, 1:], want[0, :, 1:], rtol=1e-8)


class TestKeys:
    def test_are_drawn_alike_from_all_pixels_of_a_class(self):
        prob, labels = simplex((4, 40, 50)), np.random.default_rng(1).choice(3, p=[0.9, 0.095, 0.005], size=(4, 40, 50))
        labels[:, :2] = 255
        made = DirichletRecalibration.fit(prob, labels, keys_per_class=100, ignore_index=255)
        number = np.bincount(labels[labels != 255], minlength=3)
        taken = np.minimum(number, 100)
        assert 0 < number[2] < 100 < number[1]
        assert np.bincount(made.key_labels).tolist() == taken.tolist()
        assert_same(made.key_weights, (number / taken)[made.key_labels], 'exact')
        rows = {tuple(row): c for row, c in zip(np.moveaxis(prob, 1, -1).reshape(-1, 3), labels.ravel())}
        assert [rows[tuple(key)] for key in made.key_prob] == made.key_labels.tolist()
        assert len({tuple(key) for key in made.key_prob}) == len(made.key_prob)
        again = DirichletRecalibration.fit(prob, labels, keys_per_class=100, ignore_index=255)
        other = DirichletRecalibration.fit(prob, labels, keys_per_class=100, ignore_index=255, seed=1)
        assert_same(again.key_prob, made.key_prob, 'exact')
        assert not np.array_equal(other.key_prob, made.key_prob)
        last = DirichletRecalibration.fit(
            np.moveaxis(prob, 1, -1), labels[..., None], axis=-1, keys_per_class=100, ignore_index=255
        )
        assert_same(last.key_prob, made.key_prob, 'exact')

    def test_every_pixel_has_the_same_chance_whatever_image_it_is_in(self):
        taken = np.zeros(6)
        for seed in range(600):
            drawn = KeySampler(2, keys_per_class=2, seed=seed)
            for image in (range(2), range(2, 5), range(5, 6)):
                p = np.array(image) / 10
                drawn.add(np.stack([p, 1 - p]), np.zeros(len(p), int))
            taken[np.rint(10 * drawn.keys()['key_prob'][:, 0]).astype(int)] += 1
        assert abs(taken / 600 - 1 / 3).max() < 0.08  # four standard deviations

    def test_a_teacher_that_is_too_sure_becomes_calibrated(self):
        """Its probabilities are the true ones to the power of 3."""
        rng = np.random.default_rng(0)
        true = rng.dirichlet([1.0, 1.0, 1.0], size=6000)
        labels = (true.cumsum(1) < rng.random((6000, 1))).sum(1)
        sure = true**3 / (true**3).sum(1, keepdims=True)
        made = DirichletRecalibration.fit(sure[:3000], labels[:3000], keys_per_class=400)
        found = made.recalibrate(sure[3000:])
        before, after = (abs(p - true[3000:]).mean() for p in (sure[3000:], found))
        assert after < before / 2


class TestFiles:
    def test_are_read_as_they_were_written(self, tmp_path):
        made = DirichletRecalibration(KEYS, [0, 1, 2], [1, 2, 3], bandwidth=0.1, pixels='doubtful')
        made.save(tmp_path / 'keys.npz')
        read = DirichletRecalibration.load(tmp_path / 'keys.npz', bandwidth=0.1, pixels='doubtful')
        assert all(
            np.array_equal(getattr(read, name), getattr(made, name)) for name in vars(read) if name != 'logarithms'
        )

    def test_what_is_no_such_file(self, tmp_path):
        np.savez(tmp_path / 'other.npz', a=1)
        np.savez(tmp_path / 'objects.npz', key_prob=np.array([print]), key_labels=1, key_weights=1)
        (tmp_path / 'text.npz').write_text('no keys')
        with pytest.raises(FileNotFoundError):
            DirichletRecalibration.load(tmp_path / 'none.npz')
        for name, said in (('other', 'it has no key_prob'), ('objects', 'Object arrays'), ('text', '')):
            with pytest.raises(ValueError, match=re.escape(f'{name}.npz holds no keys: ') + said):
                DirichletRecalibration.load(tmp_path / f'{name}.npz')


@pytest.mark.parametrize(
    'given, said',
    [
        (dict(key_prob=KEYS[0]), 'key_prob must be (keys, classes) with two classes or more, got (3,)'),
        (dict(key_prob=KEYS[:, :1]), 'key_prob must be (keys, classes) with two classes or more, got (3, 1)'),
        (dict(key_prob=3 * KEYS), 'key_prob must be probabilities that sum to 1 over the classes'),
        (dict(key_prob=np.nan * KEYS), 'key_prob must be probabilities that sum to 1 over the classes'),
        (dict(key_labels=[0, 1]), 'key_labels must be (3,) as key_prob is, got (2,)'),
        (dict(key_labels=[0, 1, 3]), '3'),
        (dict(key_weights=[1, 1, 0]), 'key_weights must be (3,) numbers > 0'),
        (dict(bandwidth=0), 'bandwidth must be a number > 0, got 0'),
        (dict(pixels='some'), "pixels must be one of 'all', 'doubtful', got 'some'"),
    ],
)
def test_refused(given, said):
    with pytest.raises(ValueError, match='DirichletRecalibration: .*' + re.escape(said)):
        DirichletRecalibration(**dict(dict(key_prob=KEYS, key_labels=[0, 1, 2]), **given))


def test_refused_arrays():
    made = DirichletRecalibration(KEYS, [0, 1, 2])
    with pytest.raises(TypeError, match='key_labels must be integer class ids, got float64'):
        DirichletRecalibration(KEYS, [0.0, 1.0, 2.0])
    with pytest.raises(ValueError, match=re.escape('prob must be (N, 3, *space) as the keys are, got (1, 2, 5)')):
        made.recalibrate(np.zeros((1, 2, 5)))
    for logits in (2 * simplex((2, 5)), simplex((2, 5)) - 0.5, np.stack([[[3.0]], [[-1.0]], [[-1.0]]], 1)):
        with pytest.raises(
            ValueError, match=r'prob must be probabilities that sum to 1 over the classes, got a sum of'
        ):
            made.recalibrate(logits)
    with pytest.raises(ValueError, match=re.escape('labels must be (2, 5) as prob is, got (2, 4)')):
        DirichletRecalibration.fit(simplex((2, 5)), np.zeros((2, 4), int))
    with pytest.raises(TypeError, match='labels must be integer class ids, got float64'):
        DirichletRecalibration.fit(simplex((2, 5)), np.zeros((2, 5)))
    with pytest.raises(ValueError, match='no pixel has a label to be a key'):
        DirichletRecalibration.fit(simplex((2, 5)), np.full((2, 5), 255), ignore_index=255)
    with pytest.raises(SpecError, match='keys_per_class must be an integer >= 1, got 0'):
        DirichletRecalibration.fit(simplex((2, 5)), np.zeros((2, 5), int), keys_per_class=0)


def ask(worker, precision, **given):
    where = 'torch_calls' if worker.framework == 'torch' else 'keras_calls'
    made, prob, _, want = published()
    logits = np.log(prob) + np.random.default_rng(0).normal(size=(1, 1, 8, 8))
    sent = dict(logits=logits.astype(precision), prob=made.key_prob, labels=made.key_labels, weights=made.key_weights)
    dtype, found = worker.call(f'tests.soft_labels.{where}:recalibrated', sent, **given)
    assert dtype == precision
    return found['log'], want


@pytest.mark.quick_on('keras_jax_x64')
@pytest.mark.parametrize('framework', axis('torch', 'keras_tensorflow', 'keras_jax_x64', 'keras_torch'))
def test_published_case_in_both_plugins(framework, worker):
    for parts in (False, True):
        found, want = ask(worker, 'float64', parts=parts)
        assert_same(np.exp(found), want, 'published')


@pytest.mark.parametrize('framework', axis('torch', 'keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_single_precision_and_wild_logits(framework, worker):
    found, want = ask(worker, 'float32', wild=True)
    wild = found[0, :, 0]
    assert np.isfinite(wild[:, 0]).all() and np.isfinite(wild[:, 2]).all() and np.isnan(wild[:, 1]).all()
    assert np.isnan(found).sum() == 3 and found[0, :, 1:].min() >= np.log(np.finfo(np.float32).tiny)
    assert_same(np.exp(found[:, :, 1:]), want[:, :, 1:], 'float32_gradient')
