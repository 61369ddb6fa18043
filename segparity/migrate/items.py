"""What readers hand to the table of peers, and the table to the writers: the words in which a migration is thought.

    source text -> reading: Source (outputs with losses, metrics, facts, what was not read)
    -> peers: Migrated for each item (our specs, verdict, differences) -> writing: text in the other world, and the report

Nothing here knows a framework.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from shared_spec.spec import Spec

if TYPE_CHECKING:
    from segparity.migrate.computing.formula import Formula

World = Literal['mmseg', 'keras']


@dataclasses.dataclass(frozen=True, order=True)
class Place:
    """Where something stands: the file as the user named it (or relative to it), the line from 1; 0 where there is none.

    A notebook's file is ``notebook.ipynb[3]``, cell 3 counted from 1 over all cells; the line is that of the cell.
    """

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f'{self.file}:{self.line}' if self.line else self.file


@dataclasses.dataclass(frozen=True)
class Unread:
    """A value that cannot be known without running the source; ``reason`` ends a sentence "was not read: ...".

    ``text`` is the source text of the expression, shortened.
    """

    reason: str
    place: Place
    text: str = ''


@dataclasses.dataclass(frozen=True)
class Item:
    """One loss or metric as the source names it.

    library: 'mmseg', 'keras', 'segmentation_models', 'smp', 'monai', 'torch', 'torchmetrics', 'kornia', 'segparity' and a
    few more (``reading.libraries``), or 'own' for what the project defines itself. name: of the class or function
    ('DiceLoss', 'binary_crossentropy', 'dice_coef_loss'). arguments: by name, those of a position under '0', '1', ...; a
    value is plain Python, an ``Item`` (a loss in a loss), a list or dict of these, or ``Unread``. Those of 'own' hold
    'source' too, the text of the function or class, and, where that adds up losses, 'terms', items with weights, and
    'constant'. weight: the factor that the source puts on it outside of its
    arguments (a sum ``a + 2 * b``, Keras' ``loss_weights``), 1 where there is none; Unread where it cannot be read.
    text: the source text, shortened to a line. formula: of 'own' functions of labels and prediction, what they compute: two
    arrays in the order of the function's arguments -> an array of float64; it may refuse in a sentence (ValueError).
    """

    library: str
    name: str
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    place: Place = Place('')
    weight: Any = 1.0
    text: str = ''
    formula: Formula | None = dataclasses.field(default=None, compare=False, repr=False)


@dataclasses.dataclass(frozen=True)
class Context:
    """What changes the meaning of a loss or metric from outside; None where the source does not show it.

    num_classes: classes of the labels. channels: of the prediction. ignore_index: the label that the host ignores (the
    head's ``ignore_index``, 255 by default in MMSegmentation; the metric's own is an argument of the item).
    reduce_zero_label: of the data set. activation: of the prediction as the loss receives it, 'logits', 'softmax' or
    'sigmoid'. labels: 'ids', 'one_hot' or 'soft'. version: of the host, as text ('1.2.2', '0.30.0', '3.15.1'), which decides
    what a name means; None where it cannot be told and every reading is printed. align_corners, sampler: of the head.
    threshold: of a head with one channel, above which a pixel is foreground.
    """

    world: World = 'mmseg'
    version: str | None = None
    num_classes: int | None = None
    channels: int | None = None
    ignore_index: int | None = None
    reduce_zero_label: bool | None = None
    activation: str | None = None
    labels: str | None = None
    align_corners: bool | None = None
    sampler: str | None = None
    threshold: float | None = None


@dataclasses.dataclass(frozen=True)
class Output:
    """An output of the model that has losses: a head, or a Keras model's output; losses are summed with their weights.

    name: 'decode_head', 'auxiliary_head[0]', 'compile at line 12', 'compile at line 12, output mask'. refused: a sentence
    why the losses of this output are not migrated (a head that indexes its list, matched queries), '' otherwise.
    """

    name: str
    losses: Sequence[Item]
    context: Context
    place: Place
    refused: str = ''


@dataclasses.dataclass(frozen=True)
class Source:
    """What a reader found. kind: 'MMSegmentation config', 'Keras script', 'Keras notebook', 'Keras model', 'compile config'.

    metrics: each with the context in which it is computed. unread: what may matter and was not read. seen_calls and
    seen_keys: what ``segparity.migrate.moving.notes_for`` takes. files: every file that was read, in order.
    """

    kind: str
    world: World
    outputs: Sequence[Output] = ()
    metrics: Sequence[tuple[Item, Context]] = ()
    unread: Sequence[Unread] = ()
    remarks: Sequence[str] = ()
    seen_calls: Sequence[Any] = ()
    seen_keys: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    files: Sequence[str] = ()


Verdict = Literal['exact', 'float32', 'nearest', 'none', 'not yet']
WORDS: dict[str, str] = {
    'exact': 'exact',
    'float32': 'equal up to float32',
    'nearest': 'nearest',
    'none': 'no equivalent',
    'not yet': 'not yet',
}


@dataclasses.dataclass(frozen=True)
class Reading:
    """One meaning of an item: our spec and how far it is from it.

    versions: of the library in which the item means this, as text ('up to 1.1.1', '1.2.2', 'any'). spec: ours, with its
    loss_weight (the item's outer weight is not in it); None where there is nothing near. offset: what the source's loss is
    more than ours by a constant (0.5 * BCE - Dice is -1). differences: sentences, each one thing that differs. measured: the
    largest difference of values on the probe tensors relative to max(1, |value|), None where it was not measured.
    bug: a sentence where the peer does what its documentation does not say. results: of a metric, those of ours that the
    peer reports ('aAcc', 'mIoUD'); () for losses.
    """

    verdict: Verdict
    spec: Spec | None
    versions: str = 'any'
    offset: float = 0.0
    differences: Sequence[str] = ()
    measured: float | None = None
    bug: str = ''
    results: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Migrated:
    """An item with what it becomes: one reading where the version is known or makes no difference, else each of them."""

    item: Item
    readings: Sequence[Reading]
    context: Context = Context()
