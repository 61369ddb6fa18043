"""Random parameters of every loss and metric, from the checks that the spec declares: a new spec is covered by itself.

A new kind of check needs an entry in ``KINDS``; without one every test that draws from it fails and says so.
"""

import itertools
import math
import random

from hypothesis import assume
from hypothesis import strategies as st

from shared_spec import LOSSES, METRICS, SpecError, checks, networks
from shared_spec.losses.boundary.inverse_form import Pair
from shared_spec.losses.compound.weighted_sum import Losses
from shared_spec.losses.region.generalized_wasserstein_dice import DistanceMatrix
from shared_spec.parameters import REQUIRED

EVERY = {**LOSSES, **METRICS}
LARGEST = 1e6  # of numbers without a limit


def real(check):
    low = -LARGEST if check.low is None else check.low
    high = LARGEST if check.high is None else check.high
    numbers = st.floats(low, high, exclude_min=check.above, exclude_max=check.below, allow_subnormal=False)
    whole = [float(k) for k in range(math.ceil(low), min(math.floor(high), math.ceil(low) + 3) + 1)]
    ends = [x for x in whole if not (check.above and x == low) and not (check.below and x == high)]
    return st.one_of(numbers, st.sampled_from(ends)) if ends else numbers


def integer(check):
    return st.integers(-300 if check.low is None else check.low, 300 if check.high is None else check.high)


def odd(check):
    return integer(check).map(lambda k: k + (k % 2 == 0))


def each(check):
    lists = st.lists(values_of(check.inner), min_size=check.at_least, max_size=4, unique=check.unique)
    return lists.filter(lambda some: any(v > 0 for v in some)) if check.some_positive else lists


def weights(check):
    numbers = st.dictionaries(st.sampled_from(check.words), st.floats(0, 10), min_size=1)
    return st.one_of(st.sampled_from(check.words), numbers.filter(lambda some: any(v > 0 for v in some.values())))


@st.composite
def matrix(draw, check):
    size = draw(st.integers(2, 4))
    rows = [[0.0 if i == j else draw(st.floats(0, 10)) for j in range(size)] for i in range(size)]
    rows[0][1] += 1.0
    return rows


@st.composite
def losses(draw, check):
    """Losses that may be added: of one kind of prediction, none of them a sum."""
    from_logits = draw(st.booleans())
    names = [n for n, c in LOSSES.items() if n != 'WeightedSumLoss' and not c.of_features()]
    names = [n for n in names if from_logits or not LOSSES[n].needs_logits]
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3))
    return [draw(specs(name, from_logits=from_logits)).to_dict() for name in chosen]


@st.composite
def network(draw, check):
    """Of two tiles of 2 x 2 pixels."""
    scale = draw(st.floats(0.5, 2))
    sizes = 8, 3, 2, check.outputs
    found = {}
    for place, (inputs, outputs) in zip(networks.PLACES, itertools.pairwise(sizes)):
        found[f'fc_{place}_weight'] = [[scale * (i - j) for j in range(inputs)] for i in range(outputs)]
        found[f'fc_{place}_bias'] = [scale * i for i in range(outputs)]
    return found


KINDS = {
    checks.Real: real,
    checks.Integer: integer,
    checks.OddInteger: odd,
    checks.Boolean: lambda check: st.booleans(),
    checks.Choice: lambda check: st.sampled_from(check.values),
    checks.Optional: lambda check: st.one_of(st.none(), values_of(check.inner)),
    checks.AnyOf: lambda check: st.one_of([values_of(inner) for inner in check.inner]),
    checks.Each: each,
    checks.Weights: weights,
    DistanceMatrix: matrix,
    Losses: losses,
    Pair: lambda check: st.lists(values_of(check.inner), min_size=2, max_size=2),
    networks.NetworkWeights: network,
}


def values_of(check):
    """A strategy of what a check allows, in plain Python."""
    if type(check) not in KINDS:
        raise AssertionError(f'tests/support/parameters.py does not know the check {type(check).__name__}')
    return KINDS[type(check)](check)


def off_default(field):
    """What a parameter allows beside its default; the default where it allows nothing else."""
    allowed = field.metadata['allowed']
    default = allowed.freeze(field.default)
    return values_of(allowed).filter(lambda value: allowed.freeze(value) != default)


@st.composite
def specs(draw, name, off=None, **given):
    """Specs of a loss or metric: any of its parameters off their defaults, ``off`` for sure. given: as they are."""
    cls = EVERY[name]
    parameters = cls.parameters()
    needed = [k for k, field in parameters.items() if field.default is REQUIRED]
    optional = [k for k in parameters if k not in needed and k not in given]
    coins = random.Random(draw(st.integers(0, 2**64 - 1)))  # whose tosses hypothesis does not make alike
    chosen = [k for k in optional if coins.random() < 0.5 or k == off]
    values = {k: draw(values_of(parameters[k].metadata['allowed'])) for k in needed if k not in given}
    values |= {k: draw(off_default(parameters[k])) for k in chosen}
    if values.get('binary'):
        values['num_classes'] = 2
    if 'weights' in values and 'losses' in parameters:
        values['losses'] = values.get('losses') or draw(losses(None))
        values['weights'] = values['weights'] and [draw(st.floats(0, 10)) for _ in values['losses']]
    if 'tile_size' in parameters and ('tile_size' in values or values.get('weights')):
        values['tile_size'], values['weights'] = 2, draw(values_of(parameters['weights'].metadata['allowed'].inner))
    try:
        return cls(**values, **given)
    except SpecError:  # parameters that do not go together
        assume(False)


WRONG = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.floats(-3, 3), st.text(max_size=3), st.just('softmax'),
    st.lists(st.one_of(st.integers(-1, 2), st.floats(-1, 2), st.booleans(), st.just('D'), st.just('mIoU')), max_size=3),
    st.dictionaries(st.sampled_from(['D', 'I', 'C', 'd', 'type']), st.one_of(st.floats(-1, 2), st.just('SoftDiceLoss')), max_size=2),
    st.lists(st.lists(st.integers(-1, 2), max_size=3), max_size=3),
)  # fmt: skip
"""Values of any kind, right for few parameters."""
