"""PixelContrastLoss by hand: the loss of few samples, which pixels are sampled, hard samples, the bank, wrong inputs."""

import dataclasses
import math
import pathlib

import numpy as np
import pytest

from segparity.parity import cases, golden, replay
from segparity.parity.tolerances import gradient_error
from shared_spec import LOSSES
from shared_spec.extras import nearest
from tests.support.assertions import assert_same
from tests.support.frameworks import axis

NAME = 'PixelContrastLoss'
GOLDEN = golden.load(pathlib.Path(__file__).parents[1] / 'golden' / 'pixel_boundary', [NAME])
# four pixels of two classes in one image; embeddings in the plane
LABEL = np.array([[0, 0, 1, 1]])
PRED = np.zeros((1, 2, 4))
X = np.array([[[1.0, 0.5, 0.0, -1.0], [0.0, 1.0, 2.0, 0.5]]])
ALL = np.array([0]), np.array([[0, 1, 2, 3]])
DOT = X[0].T @ X[0]


def spec_of(**params):
    return LOSSES[NAME](**{'temperature': 1.0, 'base_temperature': 1.0, **params})


def loss(x=X, label=LABEL, pred=PRED, weight=None, samples=ALL, bank=None, **params):
    return spec_of(**params).reference(pred, label, weight, embedding=x, samples=samples, bank=bank)


def pair(i, p, negatives, t=1.0, dot=DOT):
    """-log of exp s_ip over it and the sum of the negatives."""
    return -math.log(
        math.exp(dot[i, p] / t) / (math.exp(dot[i, p] / t) + sum(math.exp(dot[i, n] / t) for n in negatives))
    )


def test_the_formula():
    each = [pair(0, 1, (2, 3)), pair(1, 0, (2, 3)), pair(2, 3, (0, 1)), pair(3, 2, (0, 1))]
    assert_same(loss(), sum(each) / 4, 'float64')
    warm = [pair(0, 1, (2, 3), 2), pair(1, 0, (2, 3), 2), pair(2, 3, (0, 1), 2), pair(3, 2, (0, 1), 2)]
    assert_same(loss(temperature=2.0, base_temperature=0.5, loss_weight=0.3), 0.3 * 2 / 0.5 * sum(warm) / 4, 'float64')


def test_weights_are_those_of_anchors_and_0_is_no_sample():
    each = [pair(0, 1, (2, 3)), pair(1, 0, (2, 3)), pair(2, 3, (0, 1)), pair(3, 2, (0, 1))]
    weight = np.array([[1.0, 2.0, 0.5, 3.0]])
    assert_same(loss(weight=weight), (weight[0] * each).sum() / 6.5, 'float64')
    left = [pair(0, 1, (3,)), pair(1, 0, (3,))]  # the last one has no positive
    assert_same(loss(weight=np.array([[1.0, 1.0, 0.0, 1.0]])), sum(left) / 2, 'float64')
    assert_same(loss(label=np.array([[0, 0, 9, 1]]), ignore_index=9), sum(left) / 2, 'float64')


@pytest.mark.parametrize('places', [[0], [0, 2], [0, -1, -1], [-1]], ids=str)
def test_without_a_pair_it_is_0(places):
    assert loss(samples=(np.array([0]), np.array([places]))) == 0.0


def test_without_negatives_it_is_0_and_a_pair_alone_is_no_less():
    assert loss(label=np.zeros((1, 4), int)) == 0.0
    assert loss(samples=(np.array([0]), np.array([[0, 1]]))) == 0.0


def test_positives_come_from_other_images_too():
    two = X.reshape(1, 2, 2, 2).transpose(2, 1, 0, 3).reshape(2, 2, 2)
    samples = np.array([0, 1]), np.array([[0, 1], [0, 1]])
    alone, both = loss(), loss(two, np.array([[0, 0], [1, 1]]), np.zeros((2, 2, 2)), samples=samples)
    assert_same(both, alone, 'float64')


def hard_inputs(count=11):
    """An anchor, two more of its class, and ``count`` of another class, of similarity 1/count, 2/count, ... to it."""
    x = np.zeros((1, 1, 3 + count))
    x[0, 0, :3], x[0, 0, 3:] = (1.0, 0.9, 0.4), np.arange(1, count + 1) / count
    label = np.array([[0] * 3 + [1] * count])
    return x, label, np.zeros((1, 2, 3 + count)), (np.array([0]), np.arange(3 + count)[None])


def of_anchor(positives, negatives):
    """The loss of the anchor, whose similarities are the embeddings themselves."""
    pull = sum(math.exp(s) for s in negatives)
    return sum(math.log1p(pull / math.exp(s)) for s in positives) / len(positives)


def anchor_alone(sampling, **params):
    """The loss of the first sample: the others weigh nothing to speak of."""
    x, label, pred, samples = hard_inputs()
    weight = np.full(label.shape, 1e-30)
    weight[0, 0] = 1.0
    return loss(x, label, pred, weight, samples, sampling=sampling, max_samples=64, **params)


def test_the_hardest_tenth_of_negatives_and_of_positives():
    eleven = [k / 11 for k in range(1, 12)]
    assert_same(anchor_alone('segmentation_aware'), of_anchor([0.9, 0.4], eleven), 'float64')
    assert_same(anchor_alone('hardest'), of_anchor([0.4], [1.0, 10 / 11]), 'float64')
    assert_same(anchor_alone('semi_hard', order='first'), of_anchor([0.4], [1.0]), 'float64')


def test_semi_hard_is_some_of_the_hardest():
    """The reference takes every second one, where the plugins toss coins."""
    assert_same(anchor_alone('semi_hard'), of_anchor([0.4], [1.0]), 'float64')
    assert anchor_alone('hardest') > 1.1 * anchor_alone('semi_hard')


def test_semi_hard_tosses_coins_in_pytorch():
    torch = pytest.importorskip('torch', reason='needs PyTorch')
    from mmseg_plugin.losses import PixelContrastLoss

    x, label, pred, samples = hard_inputs()
    weight = np.full(label.shape, 1e-30)
    weight[0, 0] = 1.0
    module = PixelContrastLoss(sampling='semi_hard', max_samples=64, temperature=1.0, base_temperature=1.0)
    given = [torch.tensor(array) for array in (pred, label, weight)]
    extras = dict(embedding=torch.tensor(x), samples=tuple(map(torch.tensor, samples)))
    torch.manual_seed(0)
    found = {round(module(*given, **extras).item(), 6) for _ in range(40)}
    least, hardest = anchor_alone('semi_hard'), anchor_alone('hardest')
    assert found == {round(least, 6), round(hardest, 6)}  # the second of the two by a coin


@pytest.mark.parametrize('case', GOLDEN, ids=lambda c: c.id)
def test_the_first_pixels_are_those_of_the_official_selection(case):
    """Whose random order was taken out when the numbers were recorded."""
    first = dataclasses.replace(case.spec, order='first')
    value = first.reference(case.arrays['pred'], case.arrays['target'], embedding=case.extras['embedding'])
    assert golden.is_close(value, case.loss, case.rtol, case.atol)


@pytest.mark.slow
def test_the_gradient_of_the_reference_is_the_official_one():
    case = next(c for c in GOLDEN if c.id == 'pixcontrast_unnormalised')
    given = cases.Case(case.arrays['pred'], case.arrays['target'], extras=case.extras, is_adapted=True)
    few = np.zeros(case.gradient.shape, bool)
    few[case.arrays['pred'].size :][:200] = True
    x = case.extras['embedding'].reshape(-1)

    def of(numbers):
        moved = x.copy()
        moved[:200] = numbers
        return case.spec.reference(given.pred, given.target, **{**case.extras, 'embedding': moved.reshape(case.extras['embedding'].shape)})  # fmt: skip

    assert gradient_error(replay.gradient(of, x[:200]), case.gradient[few]) < 1e-9


def selection(order='random', **params):
    """(labels, wrong, spec) of two images with classes of many pixels, few of them wrong, or few right."""
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 3, (2, 90))
    wrong = rng.random((2, 90)) < np.array([0.1, 0.5, 0.95])[labels]
    return labels, wrong, spec_of(order=order, **{'max_samples': 60, 'max_views': 12, **params})


def check_selection(labels, wrong, spec, image, index):
    """V pixels of each class of each image, different ones, half of them wrong where there are so many of both kinds."""
    cells, counts = np.unique(np.stack([image.repeat(index.shape[1]), labels[image[:, None], index].ravel()]), axis=1, return_counts=True)  # fmt: skip
    views = min(spec.max_samples // 6, spec.max_views)
    assert cells.shape == (2, 6) and (counts == views).all()
    for i, k in cells.T:
        taken = np.concatenate([row for n, row in zip(image, index) if n == i])
        taken = taken[labels[i, taken] == k]
        assert len(set(taken.tolist())) == views
        hard, easy = (labels[i] == k) & wrong[i], (labels[i] == k) & ~wrong[i]
        assert wrong[i, taken].sum() == max(min(views // 2, hard.sum()), views - easy.sum())


def test_half_of_what_is_sampled_is_predicted_wrong():
    labels, wrong, spec = selection()
    everything = np.ones(labels.shape, bool)
    image, index = spec.choose(labels, wrong, everything)
    check_selection(labels, wrong, spec, image, index)
    first = dataclasses.replace(spec, order='first').choose(labels, wrong, everything)
    assert np.array_equal(first[1], index)  # the reference draws nothing
    image, _ = dataclasses.replace(spec, max_views=40).choose(labels, wrong, everything)
    assert len(image) < 6  # a class must have more than max_views pixels
    image, index = dataclasses.replace(spec, max_samples=4, order='first').choose(labels, wrong, everything)
    assert index.shape == (4, 1) and (image == 0).sum() == 3


@pytest.mark.parametrize(('size', 'of'), [(3, 7), (7, 3), (4, 8), (5, 5), (1, 9), (8, 33)])
def test_labels_at_the_places_of_an_embedding_are_the_nearest_ones(size, of):
    torch = pytest.importorskip('torch', reason='needs PyTorch')
    want = torch.nn.functional.interpolate(torch.arange(of, dtype=torch.float64)[None, None], size, mode='nearest')
    assert nearest(size, of) == want.flatten().long().tolist()


def test_an_embedding_of_half_the_size_has_every_second_label():
    rng = np.random.default_rng(0)
    z, y, w = rng.normal(size=(2, 3, 6, 8)), rng.integers(0, 3, (2, 6, 8)), rng.uniform(size=(2, 6, 8))
    x = rng.normal(size=(2, 4, 3, 4))
    spec = spec_of(order='first', max_views=1, max_samples=20)
    small = spec.reference(z[..., ::2, ::2], y[..., ::2, ::2], w[..., ::2, ::2], embedding=x)
    assert_same(spec.reference(z, y, w, embedding=x), small, 'float64')
    assert small > 0.1


def random_inputs(seed, n=2):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3, 4, 5)), rng.integers(0, 3, (n, 4, 5)), rng.normal(size=(n, 4, 4, 5))


REMEMBERS = dict(temperature=0.5, max_samples=12, max_views=2, order='first', memory_size=3)


def bank_of(embeddings, pushed):
    """What the reference takes: the embeddings that are there, and their classes."""
    there = np.arange(embeddings.shape[1]) < pushed[:, None]
    owners = np.broadcast_to(np.arange(len(pushed))[:, None], there.shape)
    return embeddings[there], owners[there]


class TestTorch:
    @pytest.fixture(autouse=True)
    def torch(self):
        return pytest.importorskip('torch', reason='needs PyTorch')

    def build(self, **params):
        from mmseg_plugin import losses

        return losses.PixelContrastLoss(**params)

    def call(self, module, z, y, x, **more):
        import torch

        return module(torch.tensor(z), torch.tensor(y), embedding=torch.tensor(x), **more)

    def test_half_of_what_is_sampled_is_predicted_wrong(self, torch):
        labels, wrong, spec = selection()
        module = self.build(max_samples=60, max_views=12)
        given = torch.tensor(labels), torch.tensor(wrong), torch.ones(labels.shape, dtype=torch.bool), 3
        found = []
        for seed in (0, 1, 0):
            torch.manual_seed(seed)
            kept = module.choose(*given).numpy()
            found.append(kept)
            image = np.arange(2)
            index = np.stack([np.flatnonzero(row) for row in kept])
            check_selection(labels, wrong, spec, image, index)
        assert np.array_equal(found[0], found[2]) and not np.array_equal(found[0], found[1])

    def test_the_bank_is_what_the_reference_contrasts_with(self, torch):
        module, spec = self.build(**REMEMBERS).double(), LOSSES[NAME](**REMEMBERS)
        seen = []
        for step in range(4):
            z, y, x = random_inputs(step)
            bank = bank_of(module.bank.numpy().copy(), module.pushed.numpy()) if step else None
            want = spec.reference(z, y, embedding=x, bank=bank)
            assert_same(self.call(module, z, y, x).item(), want, 'float64')
            if step:
                assert abs(want - spec.reference(z, y, embedding=x)) > 1e-3
            seen.append(module.pushed.tolist())
        assert (
            module.bank.shape == (3, 3, 4) and seen[0] == [3, 3, 3] and min(seen[3]) > 9
        )  # three of a class at a time

    def test_the_newest_embeddings_of_a_class_stay(self, torch):
        module = self.build(max_samples=4, max_views=4, memory_size=3)
        z, y = torch.zeros(1, 2, 4), torch.tensor([[0, 0, 1, 1]])
        for start in (0.0, 10.0):
            x = start + torch.arange(1.0, 5.0)[None, None]
            module(z, y, embedding=x, samples=(torch.tensor([0]), torch.tensor([[0, 1, 2, 3]])))
        assert module.bank[:, :, 0].tolist() == [[12.0, 2.0, 11.0], [14.0, 4.0, 13.0]]

    def test_a_checkpoint_keeps_the_bank_which_grows_in_training_alone(self, torch):
        module, other = self.build(**REMEMBERS), self.build(**REMEMBERS)
        for step in range(2):
            self.call(module, *random_inputs(step))
        other.load_state_dict(module.state_dict())
        assert torch.equal(other.bank, module.bank)
        values = [self.call(m, *random_inputs(5)).item() for m in (module, other)]
        assert values[0] == values[1] and torch.equal(other.bank, module.bank)
        before = module.eval().bank.clone()
        self.call(module, *random_inputs(6))
        assert torch.equal(module.bank, before)
        with pytest.raises(ValueError, match=r'the bank has \(3, 3, 4\) embeddings .* needs \(3, 3, 2\)'):
            self.call(module, *random_inputs(6)[:2], np.zeros((2, 2, 4, 5)))
        fresh = self.build(**REMEMBERS)
        fresh.load_state_dict(self.build(**REMEMBERS).state_dict())  # from before the first call
        assert math.isfinite(self.call(fresh, *random_inputs(0)).item())

    def test_nothing_wrong_enters_the_bank(self, torch):
        module = self.build(**REMEMBERS)
        z, y, x = random_inputs(0)
        x[0, 0, 0, 0] = np.nan
        assert self.call(module, z, y, x).isnan()
        assert not module.pushed.any() and not module.bank.any()

    @pytest.mark.parametrize(
        ('changes', 'error', 'words'),
        [
            (dict(embedding='x'), TypeError, 'embedding must be a torch.Tensor, got str'),
            (dict(embedding=np.zeros((2, 4, 4, 5), int)), TypeError, 'embedding must be floating point, got torch.int64'),
            (dict(embedding=np.zeros((2, 4, 5))), ValueError, r'embedding must be \(N, D, \*space\) with N = 2 and 2 spatial axes'),
            (dict(embedding=np.zeros((3, 4, 4, 5))), ValueError, r'embedding must be .* got \(3, 4, 4, 5\)'),
            (dict(embedding=np.zeros((2, 4, 0, 5))), ValueError, 'embedding must have channels and pixels'),
            (dict(samples=3), TypeError, 'samples must be a pair of integer arrays'),
            (dict(samples=(np.zeros(2, int), np.zeros((2, 2)))), TypeError, 'samples must be integers'),
            (dict(samples=(np.zeros(3, int), np.zeros((2, 2), int))), ValueError, r'samples must be images \(A,\) and pixels \(A, V\)'),
            (dict(samples=(np.array([0, 2]), np.zeros((2, 2), int))), ValueError, 'samples must be images from 0 to 1, got 2'),
            (dict(samples=(np.array([0, 1]), np.full((2, 2), 20))), ValueError, 'samples must be pixels from -1 to 19, got 20'),
            (dict(samples=(np.array([0, 1]), np.zeros((2, 7), int))), ValueError, r'samples must be 12 pixels or fewer \(max_samples\), got 14'),
        ],
    )  # fmt: skip
    def test_wrong_extras_are_one_sentence(self, torch, changes, error, words):
        z, y, x = random_inputs(0)
        given = {'embedding': x, **changes}
        if not isinstance(given['embedding'], str):
            with pytest.raises(error, match=f'^{NAME}: {words.replace("torch.int64", "int64")}'):
                LOSSES[NAME](max_samples=12).reference(z, y, **given)
        tensors = {k: self.tensors(v) for k, v in given.items()}
        with pytest.raises(error, match=f'^{NAME}: {words}'):
            self.build(max_samples=12)(torch.tensor(z), torch.tensor(y), **tensors)

    @pytest.mark.parametrize('wrong', [(2, 0), (-1, 0), (0, 20), (0, -2)], ids=str)
    def test_eyes_shut_samples_that_are_nowhere_are_nan(self, torch, monkeypatch, wrong):
        from mmseg_plugin.losses.pixel import pixel_contrast

        monkeypatch.setattr(pixel_contrast, 'can_look', lambda *x: False)
        image, index = (torch.tensor([0, 1, n]) for n in wrong)
        module, given = self.build(max_samples=12), random_inputs(0)
        assert self.call(module, *given, samples=(image, index[:, None])).isnan()
        assert self.call(module, *given, samples=(image[:2], index[:2, None])).isfinite()

    def tensors(self, x):
        import torch

        if isinstance(x, tuple):
            return tuple(torch.tensor(part) for part in x)
        return torch.tensor(x) if isinstance(x, np.ndarray) else x

    def test_logits_may_be_smaller_than_the_labels(self, torch):
        z, y, x = random_inputs(0)
        small, module = torch.tensor(z[..., ::2, ::2]), self.build(order='first', max_samples=12, max_views=2)
        large = torch.nn.functional.interpolate(small, (4, 5), mode='bilinear', align_corners=False)
        given = dict(embedding=torch.tensor(x))
        found = module(small, torch.tensor(y), align_corners=False, **given)
        assert_same(found, module(large, torch.tensor(y), **given), 'float64')


KERAS = [
    *axis('keras_torch'),
    *(pytest.param(*f.values, marks=[*f.marks, pytest.mark.slow]) for f in axis('keras_tensorflow', 'keras_jax')),
]


@pytest.mark.parametrize('framework', KERAS)
def test_the_bank_of_keras_is_that_of_the_reference(framework, worker, tmp_path):
    """Step after step, eagerly and compiled, and after a model that has it was saved and loaded."""
    steps = [random_inputs(step) for step in range(4)]
    arrays = {f'{key}{k}': x for k, given in enumerate(steps) for key, x in zip('zyx', given)}
    found, banks = worker.call('tests.losses.contrast_calls:remember', arrays, params=REMEMBERS, path=str(tmp_path / 'm.keras'))  # fmt: skip
    spec = LOSSES[NAME](**REMEMBERS)
    for k, (z, y, x) in enumerate(steps):
        bank = bank_of(banks[f'embeddings{k}'].astype(np.float64), banks[f'pushed{k}']) if k else None
        assert_same(found['values'][k], spec.reference(z, y, embedding=x, bank=bank), 'float32')
    assert found['loaded'] == found['again'] and found['frozen']
    assert 'needs bank, a keras_plugin.layers.EmbeddingBank, at the call, got NoneType' in found['none']
    assert "bank must have {'num_classes': 3, 'depth': 4, 'memory_size': 3}, got " in found['other']
    assert 'bank is given, and memory_size is 0' in found['unasked']
    assert "unexpected argument 'bank'" in found['sum']
    assert found['nowhere'] and all(map(math.isnan, found['nowhere']))


@pytest.mark.parametrize('framework', KERAS)
def test_half_of_what_keras_samples_is_predicted_wrong(framework, worker):
    """Other pixels for other embeddings, all of them about as often; the same for the same."""
    labels, wrong, spec = selection()
    arrays = dict(labels=labels, wrong=wrong)
    _, found = worker.call('tests.losses.contrast_calls:chosen', arrays, params=dict(max_samples=60, max_views=12), times=200)  # fmt: skip
    kept = found['kept']
    for k in (0, 1):
        check_selection(labels, wrong, spec, np.arange(2), np.stack([np.flatnonzero(row) for row in kept[k]]))
    assert np.array_equal(kept[0], found['again']) and not np.array_equal(kept[0], kept[1])
    often = kept.mean(0)
    for i in range(2):
        for k in range(3):
            for kind in (True, False):
                own = (labels[i] == k) & (wrong[i] == kind)
                if own.any():
                    share = often[i, own].mean()
                    assert np.abs(often[i, own] - share).max() < 5 * math.sqrt(0.25 / 200), (i, k, kind)
