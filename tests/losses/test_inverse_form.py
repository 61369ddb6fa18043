"""InverseFormLoss: by hand with networks of known answers, what follows a boundary, and what it refuses."""

import itertools
import json
import re

import numpy as np
import pytest

from shared_spec import LOSSES, SpecError
from shared_spec.losses.boundary.inverse_form import boundaries, interpolation, logarithm, resized
from shared_spec.networks import NAMES, Network
from tests.support.frameworks import axis

SPEC = LOSSES['InverseFormLoss']
SIZE = 4  # of a tile


def network(rows, outputs=None):
    """Weights that hand on sums of pixels: rows (4, 2 * SIZE^2), all of whose sums are positive."""
    rows = np.asarray(rows, float)
    eye = np.eye(4)
    outputs = np.zeros(4) if outputs is None else outputs
    return dict(zip(NAMES, (rows, np.zeros(4), eye, np.zeros(4), eye, np.asarray(outputs, float))))


def summing():
    """Outputs: the sum of the prediction, that of the labels, their sum, 0."""
    one, zero = np.ones(SIZE**2), np.zeros(SIZE**2)
    return np.stack([np.r_[one, zero], np.r_[zero, one], np.r_[one, one], np.r_[zero, zero]])


def loss(**params):
    return SPEC(tile_size=SIZE, weights=network(summing()), from_logits=False, **params)


def test_inverse_form_by_hand():
    p = np.zeros((1, 1, SIZE, 2 * SIZE))
    p[0, 0, 0, 0], p[0, 0, 1, 5] = 0.5, 0.25
    y = np.zeros_like(p)
    y[0, 0, 0, 1] = 1.0
    left, right = np.sqrt(0.5**2 + 1 + 1.5**2), np.sqrt(2 * 0.25**2)
    assert loss(tiles=[1, 2]).reference(p, y) == pytest.approx((left + right) / 2, abs=1e-15)
    # pixels of weight 0 are empty in both maps, and a tile weighs what its pixels weigh
    w = np.ones((1, SIZE, 2 * SIZE))
    w[0, 0, :SIZE] = 0  # of the left tile a row with all that it has
    w[0, :, SIZE:] = 0.5
    want = 0.5 * right / (0.75 + 0.5)
    assert loss(tiles=[1, 2]).reference(p, y, w) == pytest.approx(want, abs=1e-15)
    assert loss(tiles=[1, 2]).reference(p, y, 0 * w) == 0


def test_inverse_form_of_class_ids_is_that_of_their_boundaries():
    ids = np.array([[[0, 0, 2, 2], [0, 0, 2, 2], [7, 0, 0, 0], [7, 0, 255, 0]]])
    edges = np.array([[[0, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 0]]])
    assert (boundaries(ids, ids != 255) == edges).all()
    outlined = np.array([[[0, 0, 255, 255, 2], [0, 255, 255, 2, 2], [0, 0, 0, 0, 255]]])  # as Pascal VOC's labels
    edges_of = np.array([[[0, 1, 0, 0, 1], [1, 0, 0, 1, 0], [0, 0, 0, 1, 0]]])
    assert (boundaries(outlined, outlined != 255) == edges_of).all()
    p = np.random.default_rng(0).uniform(size=(1, 1, 4, 4))
    weight = (ids != 255).astype(float)
    want = loss(tiles=[1, 1]).reference(p, edges[:, None].astype(float), weight)
    assert loss(tiles=[1, 1], ignore_index=255).reference(p, ids) == want
    assert loss(tiles=[1, 1]).reference(p, ids, None, 255) == want
    assert loss(tiles=[1, 1], ignore_index=0).reference(p, ids) != want


def test_inverse_form_resizes_as_pytorch_does():
    torch = pytest.importorskip('torch')
    x = np.random.default_rng(1).normal(size=(2, 3, 7, 10))
    for size in ((12, 24), (7, 10), (3, 4)):
        want = torch.nn.functional.interpolate(torch.tensor(x), size, mode='bilinear').numpy()
        assert np.abs(resized(x, size) - want).max() < 1e-14
    assert np.allclose(interpolation(5, 9).sum(1), 1)


def test_inverse_form_geodesic_is_the_logarithm_of_the_transform():
    from scipy.linalg import logm

    rng = np.random.default_rng(2)
    for scale in (1.0, 0.1, 1e-3, 1e-7):
        a, b, x, y = scale * rng.uniform(-0.7, 0.7, 4)
        c, t = 1 + a + 1j * b, x + 1j * y
        log = logm(np.array([[c, t], [0, 1]]))
        want = [log[0, 0].real, log[0, 0].imag, log[0, 1].real, log[0, 1].imag]
        assert np.abs(logarithm(np.array([a, b, x, y])) - want).max() < 1e-13 * scale + 1e-16
    out = np.array([0.3, -0.2, 0.5, 0.1])
    weights = network(np.zeros((4, 2 * SIZE**2)), out)
    spec = SPEC(tile_size=SIZE, tiles=[1, 1], weights=weights, distance='geodesic')
    assert spec.reference(np.zeros((1, 1, 4, 4)), np.zeros((1, 4, 4), int)) == pytest.approx(
        np.sqrt((logarithm(out) ** 2).sum()), abs=1e-15
    )


@pytest.mark.parametrize('distance', ['euclidean', 'geodesic'])
def test_inverse_form_of_no_transform_has_no_gradient(distance):
    torch = pytest.importorskip('torch')
    from mmseg_plugin.losses import InverseFormLoss

    weights = network(np.zeros((4, 2 * SIZE**2)))
    z = torch.zeros(1, 1, 4, 8, requires_grad=True)
    value = InverseFormLoss(tile_size=SIZE, weights=weights, distance=distance)(z, torch.zeros(1, 4, 8).long())
    value.backward()
    assert value == 0 and not z.grad.any()


def oval(shift=0.0, turn=0.0, scale=1.0):
    """(1, 64, 128) an oval of class 1."""
    y, x = np.mgrid[:64, :128].astype(float)
    x, y = x - 64 - shift, y - 32
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    return ((along / 1.8) ** 2 + across**2 < (15 * scale) ** 2).astype(np.int64)[None]


def drawn(labels):
    """Logits of an edge branch that draws the boundaries of labels."""
    return np.where(boundaries(labels, np.ones(labels.shape, bool)), 8.0, -8.0)[:, None]


@pytest.mark.parametrize('distance', ['euclidean', 'geodesic'])
@pytest.mark.parametrize(
    'moves',
    [
        [dict(shift=9), dict(shift=5), dict(shift=3), {}],
        [dict(turn=0.7), dict(turn=0.4), dict(turn=0.2), {}],
        [dict(scale=1.3), dict(scale=1.15), dict(scale=1.07), {}],
    ],
    ids=['moved', 'turned', 'scaled'],
)
def test_inverse_form_goes_down_when_the_boundary_approaches_the_truth(moves, distance):
    spec = SPEC(tiles=[2, 4], distance=distance)
    found = [spec.reference(drawn(oval(**move)), oval()) for move in moves]
    assert all(before > 1.1 * after for before, after in itertools.pairwise(found)), found


def test_inverse_form_goes_down_when_a_boundary_is_drawn_and_a_false_one_fades():
    spec = SPEC(tiles=[2, 4], from_logits=False)
    edges = boundaries(oval(), np.ones((1, 64, 128), bool))[:, None].astype(float)
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    missing = [spec.reference(share * edges, edges) for share in shares]
    false = [spec.reference(share * edges, 0 * edges) for share in shares]
    assert missing == sorted(missing, reverse=True) and false == sorted(false)
    assert missing[0] > 4 * missing[-1] and false[-1] > 4 * false[0]


def test_inverse_form_keeps_its_network_in_every_form(tmp_path):
    weights = network(summing())
    np.savez(
        tmp_path / 'w.npz',
        **{name.replace('_', '.', 1).replace('_w', '.w').replace('_b', '.b'): x for name, x in weights.items()},
    )
    by_path = SPEC(tile_size=SIZE, weights=tmp_path / 'w.npz')
    by_name = SPEC(tile_size=SIZE, weights=weights)
    assert by_path.network == by_name.network and by_path.to_dict()['weights'] == str(tmp_path / 'w.npz')
    again = SPEC.from_dict(json.loads(json.dumps(by_name.to_dict())))
    assert again == by_name and hash(again) == hash(by_name) and again != SPEC()
    in_float32 = {name: x.astype(np.float32) / 3 for name, x in weights.items()}
    spec = SPEC(tile_size=SIZE, weights=in_float32)
    assert SPEC.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert spec.network.arrays[0].dtype == np.float32 and not spec.network.arrays[0].flags.writeable


def without(name):
    return {key: x for key, x in network(summing()).items() if key != name}


@pytest.mark.parametrize(
    ('params', 'sentence'),
    [
        (dict(tile_size=16), 'tile_size must be 32, that of the weights that come with the package, .* got 16'),
        (dict(tile_size=5, weights=network(summing())), 'weights must take 50 numbers, two tiles of 5 x 5, got .* 32'),
        (dict(weights='absent.npz'), "weights cannot be read from 'absent.npz': No such file or directory"),
        (dict(weights=3), 'weights must be the path of an .npz file, or a dict, with the arrays .*, got 3'),
        (dict(weights=without('fc_4_bias')), 'weights must have .*, fc_4_bias is missing'),
        (dict(weights=dict(network(summing()), more=np.ones(1))), 'weights must have .* alone, got more as well'),
        (dict(weights=dict(network(summing()), fc_2_bias=np.ones(3))), 'fc_2_weight of shape .* does not fit 4 inputs'),
        (dict(weights=dict(network(summing()), fc_2_bias=np.full(4, np.nan))), 'weights must be finite, fc_2_bias is not'),
        (dict(weights=dict(network(summing()), fc_0_weight='a')), 'weights must be .* fc_0_weight'),
        (dict(weights=dict(network(summing()), fc_4_weight=np.ones((3, 4)), fc_4_bias=np.ones(3))), 'end in 4 numbers, got 3'),
        (dict(tiles=[1, 2, 3]), 'tiles must be a list of two integers >= 1, rows and columns'),
    ],
)  # fmt: skip
def test_what_inverse_form_refuses_of_its_parameters(params, sentence):
    with pytest.raises(SpecError, match=f'^InverseFormLoss: .*{sentence}') as error:
        SPEC(**{**({} if 'tile_size' in params or 'weights' not in params else dict(tile_size=SIZE)), **params})
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('content', [b'', b'PK\3\4 damaged', b'\x80\x04K\x01.', b'\x93NUMPY'])
def test_inverse_form_never_unpickles(tmp_path, content):
    (tmp_path / 'w.npz').write_bytes(content)
    sentence = f"InverseFormLoss: weights must be an .npz file of arrays, '{tmp_path / 'w.npz'}' is none"
    with pytest.raises(SpecError, match=re.escape(sentence)):
        SPEC(weights=tmp_path / 'w.npz')
    np.savez(tmp_path / 'o.npz', **{name: np.array([object()]) for name in NAMES}, allow_pickle=True)
    with pytest.raises(SpecError, match=r"must be an .npz file of arrays, .*o.npz' is none"):
        SPEC(weights=tmp_path / 'o.npz')


def test_what_inverse_form_refuses_of_a_call():
    z, ids = np.zeros((1, 2, 6, 6)), np.zeros((1, 6, 6), int)
    with pytest.raises(ValueError, match='class ids go with one channel of pred, got 2; give floating-point maps'):
        SPEC().reference(z, ids)
    with pytest.raises(ValueError, match=r'target must be .* to match pred'):
        SPEC().reference(z[:, :1], ids[:, 1:])
    with pytest.raises(
        ValueError, match='target labels must be at least 0, got -1; ignore_index=-1 leaves such pixels out'
    ):
        SPEC().reference(z[:, :1], ids - 1)
    assert SPEC(ignore_index=-1).reference(z[:, :1], ids - 1) == 0
    with pytest.raises(ValueError, match='one-channel target must lie'):
        SPEC().reference(z[:, :1], np.full((1, 6, 6), 1.5))
    with pytest.raises(ValueError, match='2 spatial axes'):
        SPEC().reference(z[:, :1, 0], ids[:, 0])
    with pytest.raises(ValueError, match='a picture must have pixels'):
        SPEC().reference(z[:, :1, :0], ids[:, :0])


@pytest.mark.parametrize('seen', [True, False])
def test_inverse_form_of_labels_that_are_no_classes_in_pytorch(seen, monkeypatch):
    torch = pytest.importorskip('torch')
    from mmseg_plugin import inputs, values
    from mmseg_plugin.losses import InverseFormLoss

    for room in (inputs, values):
        monkeypatch.setattr(room, 'can_look', lambda *tensors: seen)
    z, ids = torch.zeros(1, 1, 6, 6, requires_grad=True), torch.zeros(1, 6, 6).long()
    ids[0, 2, 2] = -1
    assert InverseFormLoss(ignore_index=-1)(z, ids).isfinite()
    if seen:
        with pytest.raises(ValueError, match='got -1; ignore_index=-1 leaves such pixels out'):
            InverseFormLoss()(z, ids)
    else:
        assert InverseFormLoss()(z, ids).isnan()


@pytest.mark.slow
@pytest.mark.parametrize('framework', axis('keras_torch', 'keras_tensorflow', 'keras_jax'))
def test_inverse_form_of_labels_that_are_no_classes_in_keras(framework, worker):
    sentence, _ = worker.call('tests.losses.keras_branched:no_classes', {})
    assert sentence.startswith('InverseFormLoss: ') and sentence.endswith('ignore_class=-1 leaves such pixels out')


@pytest.mark.slow
def test_the_shipped_network_is_what_its_code_trains(tmp_path, capsys):
    """The command, of a network of another size; what the shipped one leaves of new pairs."""
    torch = pytest.importorskip('torch')
    from mmseg_plugin import inverse_transform

    path = tmp_path / 'w.npz'
    inverse_transform.main(['--out', str(path), '--tile-size', '8', '--hidden', '48', '16', '--steps', '300'])
    left = float(re.search(r'([\d.]+)% of the variance', capsys.readouterr().out)[1])
    assert left < 60
    assert SPEC(tile_size=8, weights=path).network.inputs == 128

    assert isinstance(SPEC().network, Network)
    shipped = inverse_transform.new_network(32, (384, 32))
    shipped.load_state_dict(
        {name[3:].replace('_', '.'): torch.tensor(x) for name, x in zip(NAMES, SPEC().network.arrays)}
    )
    tiles = inverse_transform.draw_tiles(1000, 32, torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert inverse_transform.error(shipped, tiles) < 0.16 * tiles.transform.square().sum(1).mean()


@pytest.mark.parametrize(
    'arguments', [['--out', 'w.txt'], ['--out', 'w.npz', '--steps', '0'], ['--out', 'w.npz', '--hidden', '0', '4']]
)
def test_the_training_command_refuses_in_one_sentence(arguments, capsys):
    pytest.importorskip('torch')
    from mmseg_plugin import inverse_transform

    with pytest.raises(SystemExit):
        inverse_transform.main(arguments)
    assert 'error: --' in capsys.readouterr().err


def test_a_logarithm_of_nothing_is_no_number_on_its_way_through_the_network():
    """The network's layers keep NaN, which nothing but the output would tell of."""
    z, y = np.zeros((1, 1, 32, 32)), np.zeros((1, 32, 32), int)
    z[0, 0, 3, 4], y[0, 8:20, 8:20] = -np.inf, 1
    given = dict(activation='log_softmax', tiles=[1, 2])
    with np.errstate(invalid='ignore'):
        assert np.isnan(SPEC(**given).reference(z, y))
        assert np.isfinite(SPEC(**given, ignore_index=0).reference(z, y))
    torch = pytest.importorskip('torch', reason='needs PyTorch')
    from mmseg_plugin.losses import InverseFormLoss

    pred = torch.tensor(z, requires_grad=True)
    value = InverseFormLoss(**given)(pred, torch.tensor(y))
    value.backward()
    assert value.isnan() and pred.grad.isnan().any()
