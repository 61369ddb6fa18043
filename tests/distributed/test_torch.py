"""Real DDP over gloo, two and three processes, against one process on the joined batch.

Every rank has another number of images and of pixels that count, and the last one lacks a class.
"""

import numpy as np
import pytest

pytest.importorskip('torch', reason='needs PyTorch')
pytest.importorskip('mmseg', reason='needs MMSegmentation')

from mmseg_plugin.kernels.overlap import choice
from tests.distributed.cases import LOCAL, cases, names_for_three, rare_names
from tests.distributed.launch import torchrun
from tests.distributed.torch_model import large, train
from tests.support.assertions import assert_same

pytestmark = pytest.mark.xdist_group('torchrun')
CASES = cases()
RARE = rare_names()
SYNCED = [name for name, case in CASES.items() if case.mode != 'unsynced' and name not in RARE]
UNSYNCED = [name for name, case in CASES.items() if case.mode == 'unsynced']


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """One process takes PyTorch's own operators: two ranks take the fused one, three do not."""
    monkeypatch.setattr(choice, 'MODE', 'plain')


@pytest.fixture(scope='module')
def ranks(tmp_path_factory):
    """(rank, world) -> what the rank of a run of three processes wrote."""
    folder = tmp_path_factory.mktemp('ranks')
    torchrun('torch_ranks.py', 3, folder)
    return {(r, n): dict(np.load(folder / f'{r}_of_{n}.npz')) for n in (1, 2, 3) for r in range(n)}


def of_ranks(ranks, world, key):
    return [ranks[rank, world][key] for rank in range(world)]


@pytest.mark.parametrize(('name', 'world'), [(name, 2) for name in SYNCED] + [(name, 3) for name in names_for_three()])
def test_ranks_train_as_one_process(ranks, name, world):
    check(ranks, name, world)


@pytest.fixture(scope='module')
def more_ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp('rare')
    torchrun('torch_ranks.py', 2, folder, *RARE)
    return {(r, 2): dict(np.load(folder / f'{r}_of_2.npz')) for r in range(2)}


@pytest.mark.slow
@pytest.mark.parametrize('name', RARE)
def test_more_ranks_train_as_one_process(more_ranks, name):
    """Compiled and sharded models among them."""
    check(more_ranks, name, 2)


def check(ranks, name, world):
    value, gradients = train(CASES[name], world)
    values = of_ranks(ranks, world, f'{name}/value')
    if CASES[name].mode == 'counted':
        for rank in range(world):
            assert abs(ranks[rank, world][f'{name}/value'] - value) < 1e-6
            difference = np.abs(ranks[rank, world][f'{name}/gradients'] - gradients).max()
            assert difference < 1e-3 * np.abs(gradients).max()
        return
    half = CASES[name].mode == 'autocast'
    for got in [np.mean(values)] if CASES[name].mode in LOCAL else values:
        assert_same(got, value, 'float32' if half else 'float64', name)
    for got in of_ranks(ranks, world, f'{name}/gradients'):
        assert_same(got, gradients, 'bfloat16' if half else 'float64', name, scale=np.abs(gradients).max())


def collectives(case):
    """How many all-reduces and all-gathers a loss call takes."""
    parts = len(case.config.get('losses', (0, 0))) if case.config['type'] == 'WeightedSumLoss' else 1
    per_image = case.config.get('per_image', case.config['type'] == 'LovaszHingeLoss')
    if case.config.get('class_weight') == 'inverse_frequency' and case.mode not in ('avg_factor', 'none'):
        parts += 1  # the frequencies come first, then the loss
    parts += case.config.get('budget') == 'batch'  # the sizes of divergences, which say what is a boundary
    return parts, int(case.config['type'].startswith('Lovasz') and not per_image)


def selects(config):
    """Whether ranks look for the k-th largest loss of all pixels."""
    return config['type'] == 'TopKCrossEntropyLoss' or (
        config['type'] == 'OhemCrossEntropyLoss' and config.get('min_kept') != 0
    )


@pytest.mark.parametrize('name', [name for name in SYNCED if CASES[name].mode not in ('counted', 'more')])
def test_a_loss_call_is_one_collective_of_float64(ranks, name):
    """But for class frequencies, the boundary that a batch predicts and the bytes of the losses that hard pixels are selected by, whose sums come before the loss, and Lovasz over the batch, which tells how many pixels each rank has before it gathers their errors."""
    times = 2 if CASES[name].mode in ('accumulate', 'static_graph', 'two_heads') else 1
    reduces, gathers = collectives(CASES[name])
    errors = 'torch.float32' if CASES[name].mode == 'autocast' else 'torch.float64'
    counts = ['all_reduce torch.int64'] * (int(errors[-2:]) // 8 if selects(CASES[name].config) else 0)
    expected = (counts + ['all_reduce torch.float64'] * reduces + [f'all_gather {errors}'] * gathers) * times
    for rank in range(2):
        assert ranks[rank, 2][f'{name}/calls'].tolist() == expected


@pytest.mark.parametrize('name', [name for name in SYNCED if CASES[name].mode == 'more'])
def test_what_takes_more_than_logits_asks_for_the_rest_once(ranks, name):
    """Pixel contrast, for the number of its anchors and for that of its samples; then the samples of all."""
    counts = ['all_reduce torch.int64'] * (2 if name.startswith('PixelContrast') else 0)
    for rank in range(2):
        assert ranks[rank, 2][f'{name}/calls'].tolist() == [*counts, 'all_reduce torch.float64']


@pytest.mark.parametrize('name', [name for name in SYNCED if CASES[name].mode == 'counted'])
def test_counts_are_added_up_between_two_vectors_of_float64(ranks, name):
    kind = 'float64' if CASES[name].batch == 'weighted' else 'int32'
    for rank in range(2):
        first, *counts, last = ranks[rank, 2][f'{name}/calls'].tolist()
        assert first == last == 'all_reduce torch.float64'
        assert 1 <= len(counts) < 8 and set(counts) == {f'all_reduce torch.{kind}'}


def test_many_pixels_of_ranks_are_counted(ranks):
    """The value is within 1e-6 of that of one process, which sorts, and the gradient within 1e-3 of its largest entry.

    A rank's gradient is that of the world's size, as DDP takes the mean.
    """
    want = large()
    for rank in range(2):
        got = {key: ranks[rank, 2][f'large/{key}'] for key in ('value', 'gradient', 'calls')}
        assert 'all_reduce torch.int32' in got['calls'] and not any('gather' in call for call in got['calls'])
        assert abs(got['value'] - want['value']) < 1e-6
        gradient = want['gradient'][rank : rank + 1]
        difference = np.abs(got['gradient'] / 2 - gradient).max()
        assert 0 < difference < 1e-3 * np.abs(want['gradient']).max()


@pytest.mark.parametrize('name', UNSYNCED)
def test_without_sync_ranks_drift(ranks, name):
    value, gradients = train(CASES[name], 2)
    got = ranks[0, 2][f'{name}/gradients']
    assert np.abs(got - gradients).max() > 0.01 * np.abs(gradients).max()
    assert abs(np.mean(of_ranks(ranks, 2, f'{name}/value')) - value) > 1e-4
    assert not ranks[0, 2][f'{name}/calls'].size


def test_drift_by_hand(ranks):
    """p is theta = 1/2 everywhere; the IoU is 4*theta / 4 on rank 0, theta / (1 + 3*theta) on rank 1."""
    t = 1 / 2
    joined, slope = 5 * t / (5 + 3 * t), 25 / (5 + 3 * t) ** 2
    for rank in range(2):
        assert_same(ranks[rank, 2]['exact'], [1 - joined, -slope], 'float64')
    apart, mean_slope = [t, t / (1 + 3 * t)], (1 + 1 / (1 + 3 * t) ** 2) / 2
    for rank in range(2):
        assert_same(ranks[rank, 2]['naive'], [1 - apart[rank], -mean_slope], 'float64')


def test_one_rank_asks_nobody(ranks):
    names = [key.removesuffix('/value') for key in ranks[0, 1] if key.endswith('/value')]
    assert names
    for name in names:
        assert_same(ranks[0, 1][f'{name}/gradients'], train(CASES[name], 1)[1], 'float64')
        assert not ranks[0, 1][f'{name}/calls'].size


@pytest.mark.parametrize('name', ['SoftDiceLoss', 'LovaszSoftmaxLoss'])
def test_second_derivatives_are_refused(ranks, name):
    said = str(ranks[0, 2][f'{name} again'])
    assert 'create_graph=True' in said and '\n' not in said
