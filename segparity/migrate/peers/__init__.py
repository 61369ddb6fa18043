"""What each loss and metric of other libraries is in ours, for each version: ``migrate_item``.

>>> from segparity.migrate.items import Context, Item
>>> tversky = Item('keras', 'Tversky', {'alpha': 0.3, 'beta': 0.7})
>>> found = migrate_item(tversky, Context('keras', version='3.15.1', channels=1))
>>> found.readings[0].spec.alpha, found.readings[0].spec.beta  # false positives, false negatives
(0.7, 0.3)
"""

import dataclasses
from collections.abc import Sequence

from segparity.migrate.items import Context, Item, Migrated, Reading
from segparity.migrate.peers import (  # noqa: F401  each fills the table
    keras,
    keras_metrics,
    kornia,
    mmseg,
    mmseg_metrics,
    monai,
    monai_metrics,
    ours,
    own,
    segmentation_models,
    smp,
    torch,
    torchmetrics,
)
from segparity.migrate.peers.call import Call
from segparity.migrate.peers.recorded import measured_difference
from segparity.migrate.peers.rows import Row, names_of, rows_of
from shared_spec.checks import nearest
from shared_spec.parameters import SpecError

HOSTED = {'mmseg': ('mmseg',), 'keras': ('keras',)}  # libraries whose version the context of a world tells


def migrate_item(item: Item, context: Context | None = None, compat: bool = False) -> Migrated:
    """What an item means in ours: one reading where the version is known or makes no difference, else each of them.

    compat: reproduce what a peer does against its documentation, where a parameter of ours can; the difference says so.
    An item that the table does not have is 'none' with a sentence. Nothing is imported or run.
    """
    context = context or Context()
    if item.library == 'segparity':
        return Migrated(item, [ours.reading(item, context)], context)
    if item.library == 'own':
        return Migrated(item, own.readings(item, context), context)
    rows = rows_of(item.library, item.name)
    if not rows:
        return Migrated(item, [Reading('none', None, differences=[unknown_sentence(item)])], context)
    version = context.version if item.library in HOSTED[context.world] else None
    chosen = rows
    if version is not None:
        chosen = [row for row in rows if version in row.versions] or rows  # between two that are known: both
    elif fitting := [row for row in rows if row.accepts(item.arguments)]:
        chosen = fitting  # the arguments tell
    readings = [read_item(row, item, context, compat) for row in chosen]
    return Migrated(item, merge_equal(readings, whole=len(chosen) == len(rows)), context)


def unknown_sentence(item: Item) -> str:
    """The sentence of an item that the table does not have."""
    known = names_of(item.library)
    if not known:
        return f'{item.library} has no entries in the table of peers'
    hint = nearest(item.name, known)
    return f'{item.library} {item.name} is not in the table of peers' + (f'; did you mean {hint}?' if hint else '')


def read_item(row: Row, item: Item, context: Context, compat: bool) -> Reading:
    """A row's reading of an item, with its versions and the recorded difference."""
    call = Call(item, row.signature, context, compat)
    try:
        found = row.read(call)
    except SpecError as error:
        found = Reading('none', None, differences=[f'ours refuses it: {error}', *call.differences])
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:  # of a kind nobody foresaw
        found = Reading('none', None, differences=[f'its arguments could not be read: {error}', *call.differences])
    if context.sampler and item.library == 'mmseg' and row.kind == 'loss' and found.spec is not None:
        told = (
            f"the head's sampler {context.sampler} picks the pixels that count in each step; ours counts all of them, "
            'unless it stays in a head with that sampler; OhemCrossEntropyLoss picks hard pixels itself and divides by '
            'their number, its min_kept is of the batch'
        )
        found = dataclasses.replace(found, verdict='nearest', differences=(*found.differences, told))
    found = dataclasses.replace(found, versions=row.versions.text)
    return dataclasses.replace(found, measured=measured_difference(row, item, context, compat, found))


def merge_equal(readings: Sequence[Reading], whole: bool) -> list[Reading]:
    """Equal readings as one; 'any' version where all are equal and ``whole`` says that no version is left out."""
    found: list[Reading] = []
    for reading in readings:
        for k, other in enumerate(found):
            if dataclasses.replace(reading, versions='', measured=None) == dataclasses.replace(
                other, versions='', measured=None
            ):
                found[k] = dataclasses.replace(other, versions=f'{other.versions}, {reading.versions}')
                break
        else:
            found.append(reading)
    if whole and len(found) == 1 and len(readings) > 1:
        found = [dataclasses.replace(found[0], versions='any')]
    return found
