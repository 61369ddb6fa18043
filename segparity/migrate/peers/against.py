"""One of our configurations beside what comes nearest to it in an installed library: ``compare_with_peer``."""

import dataclasses
import math
from collections.abc import Iterator

from segparity.migrate.items import Context, Item, Reading
from segparity.migrate.measure import Ask, measure_on_probes, row_of
from segparity.migrate.peers import migrate_item
from segparity.migrate.peers.nearest_items import Found, candidates
from segparity.migrate.peers.recorded import call_text
from segparity.migrate.running import installed_version
from shared_spec.registry import unknown_name
from shared_spec.spec import LossSpec, MetricSpec, Spec

LIBRARIES = {
    'mmseg': 'MMSegmentation',
    'keras': 'Keras',
    'monai': 'MONAI',
    'smp': 'segmentation_models_pytorch',
}
SAME_ON_HARD_LABELS = [
    frozenset(pair)
    for pair in (
        ('SoftDiceLoss', 'DiceSemimetricLoss'),
        ('SoftJaccardLoss', 'JaccardMetricLoss'),
        ('SoftTverskyLoss', 'CompatibleTverskyLoss'),
    )
]
UNTOLD = ('type', 'sync', 'losses', 'weights', 'metrics', 'levels', 'q')  # how, not what; parts and results stand apart


@dataclasses.dataclass(frozen=True)
class PeerRow:
    """Our configuration beside the peer's. ours: its name; item: the peer's call, '' where nothing is near.

    value, gradient: the largest differences on the probes, the first in units of max(1, |value|), the second of the
    largest derivative; None where nothing was compared. reason: in words, '' where both are the same.
    """

    ours: str
    item: str
    value: float | None
    gradient: float | None
    reason: str


def compare_with_peer(spec: Spec, library: str, ask: Ask | None = None) -> list[PeerRow]:
    """``spec`` beside the item of ``library`` ('mmseg', 'keras', 'monai', 'smp') whose arguments come nearest to it.

    One row; of a weighted sum that the library does not have one for each part. The library must be installed; Keras
    runs in a process of its own, with PyTorch, or in that of which ``ask`` is the ``call``. Raises SpecError for another
    library, RuntimeError where it is missing.
    """
    if library not in LIBRARIES:
        raise unknown_name('library', library, list(LIBRARIES))
    if installed_version(library) is None:
        raise RuntimeError(f'{LIBRARIES[library]} is not installed here, so nothing can be compared with it')
    found = [row for item in candidates(spec, library) if (row := compare_candidate(spec, library, item, ask))]
    if found:
        return [min(found, key=lambda row: math.inf if row.value is None else row.value)]
    parts = getattr(spec, 'parts', ())
    if parts:
        return [row for part in parts for row in compare_with_peer(part, library, ask)]
    return [PeerRow(type(spec).__name__, '', None, None, f'{LIBRARIES[library]} has nothing that is near')]


def compare_candidate(spec: Spec, library: str, found: Found, ask: Ask | None = None) -> PeerRow | None:
    """The row of one candidate; None where it could not be asked."""
    name, arguments, facts = found
    item = Item(library, name, arguments)
    version = installed_version(library)
    context = Context(
        'keras' if library == 'keras' else 'mmseg', version if library in ('mmseg', 'keras') else None, **facts
    )
    readings = migrate_item(item, context).readings
    theirs = next((reading for reading in readings if runs(item, reading)), readings[0])
    ours, outside = spec, ''
    if library != 'mmseg' and isinstance(spec, LossSpec) and not getattr(spec, 'parts', ()) and spec.loss_weight != 1:
        ours = type(spec).from_dict({**spec.to_dict(), 'loss_weight': 1.0})
        outside = f'it has no loss_weight: ours is compared without its {spec.loss_weight:g}'
    if theirs.spec is not None and isinstance(spec, LossSpec) and takes_logits(theirs.spec) != takes_logits(spec):
        ours = type(ours).from_dict({**ours.to_dict(), 'from_logits': takes_logits(theirs.spec)})
    asked = dataclasses.replace(theirs, spec=ours, offset=0.0)
    if isinstance(spec, MetricSpec):
        asked = dataclasses.replace(asked, results=[n for n in theirs.results if n in spec.names()])
    result = measure_on_probes(item, asked, context, ask)
    if result is None or result.value is None:
        return None
    told = filter(None, (*reasons(ours, theirs), outside))
    return PeerRow(type(spec).__name__, call_text(name, arguments), result.value, result.gradient, '; '.join(told))


def runs(item: Item, reading: Reading) -> bool:
    """Whether a reading is of the version that is installed."""
    row, version = row_of(item, reading), installed_version(item.library)
    return row is not None and version is not None and version in row.versions


def takes_logits(spec: Spec) -> bool:
    first = getattr(spec, 'parts', (spec,))[0]
    return bool(getattr(first, 'from_logits', True))


def reasons(ours: Spec, theirs: Reading) -> Iterator[str]:
    """What differs, in words: from our spec to the one nearest to the peer, and from that to the peer."""
    if theirs.spec is not None:
        yield from between(ours, theirs.spec)
    yield from theirs.differences
    if theirs.bug:
        yield f'bug: {theirs.bug}'


def between(ours: Spec, theirs: Spec) -> Iterator[str]:
    """What differs between two specs; sums by their parts of a kind."""
    mine: tuple[Spec, ...] = getattr(ours, 'parts', ())
    others: tuple[Spec, ...] = getattr(theirs, 'parts', ())
    if mine and others:
        for part in mine:
            for other in others:
                if type(part) is type(other) or alike(part, other):
                    yield from between(part, other)
        return
    kinds = type(theirs).__name__, type(ours).__name__
    if kinds[0] != kinds[1]:
        same = ', which is the same for hard labels' if alike(ours, theirs) else ''
        yield f'it is a {kinds[0]}, ours a {kinds[1]}{same}'
    given, found = ours.to_dict(), theirs.to_dict()
    for name, value in given.items():
        if name not in UNTOLD and name in found and value != found[name]:
            nothing = name == 'ignore_index' and value is None
            present = name == 'classes' and {'auto', 'present'} == {str(value), str(found[name])}
            if not nothing and not present:
                yield f'its {name} is {found[name]!r}, ours {value!r}'


def alike(ours: Spec, theirs: Spec) -> bool:
    """Whether two losses are the same for hard labels."""
    return frozenset((type(ours).__name__, type(theirs).__name__)) in SAME_ON_HARD_LABELS
