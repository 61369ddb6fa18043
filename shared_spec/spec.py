"""The spec of a loss or a metric: its parameters, declared once.

A spec is a frozen dataclass whose fields are the parameters. Each field carries what is allowed, what it means and
what it is called in each world; both plugins hand their constructor's arguments to the spec, so a wrong name, type or
value is refused in one place and in one sentence.
"""

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from shared_spec.checks import nearest
from shared_spec.dialects import Dialects
from shared_spec.extras import check_needs
from shared_spec.granularity import things_of
from shared_spec.inputs import Batch, prepare
from shared_spec.parameters import NamedParameters, SpecError, check_parameter


@dataclasses.dataclass(frozen=True)
class Example:
    """A configuration that the parity checks replay, and the inputs it is meant for."""

    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    labels: tuple[str, ...] = ('hard', 'soft')
    channels: tuple[str, ...] = ('one', 'many')
    class_weight: bool | str = False  # add one weight for each class of the case: as class_weight, or as that parameter
    spatial_axes: tuple[int, ...] = (0, 1, 2, 3)

    @property
    def weights(self) -> str:
        """The parameter that gets one weight for each class of the case, '' where there is none."""
        return 'class_weight' if self.class_weight is True else self.class_weight or ''


class Spec(Dialects, metaclass=NamedParameters):
    """What losses and metrics have in common: checked fields, exact round-trip, text for ``segparity show``."""

    title: ClassVar[str] = ''
    formula: ClassVar[str] = ''
    source: ClassVar[str] = ''
    remarks: ClassVar[str] = ''

    if TYPE_CHECKING:  # subclasses are frozen dataclasses, of which a type checker cannot know through our decorators
        __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = check_parameter(
                type(self).__name__, field.name, field.metadata['allowed'], getattr(self, field.name), hints=True
            )
            object.__setattr__(self, field.name, value)
        self.validate()

    def validate(self) -> None:
        """Rules that tie parameters together; overridden where there are any. Raises SpecError."""

    @classmethod
    def parameters(cls) -> dict[str, dataclasses.Field[Any]]:
        """Name -> dataclass field, in order of declaration."""
        return {field.name: field for field in dataclasses.fields(cls)}

    def builtin_value(self, name: str) -> Any:
        """The value of a parameter in plain, JSON-able Python: what ``to_dict`` has of it."""
        return self.parameters()[name].metadata['allowed'].thaw(getattr(self, name))

    def to_dict(self) -> dict[str, Any]:
        """``{'type': name, ...every parameter}`` in plain, JSON-able Python; ``from_dict`` gives back an equal spec."""
        return {'type': type(self).__name__, **{name: self.builtin_value(name) for name in self.parameters()}}

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> Self:
        """The spec that ``to_dict`` wrote, with or without its 'type'; SpecError for the type of another."""
        config = dict(config)
        kind = config.pop('type', cls.__name__)
        if kind != cls.__name__:
            raise SpecError(f'this is the configuration of {kind!r}', owner=cls.__name__)
        return cls(**config)


class LossSpec(Spec):
    """A loss. Subclasses add parameters, ``of_batch`` and the text that ``segparity show`` prints."""

    family: ClassVar[str] = ''
    labels: ClassVar[tuple[str, ...]] = ('hard', 'soft')
    channels: ClassVar[tuple[str, ...]] = ('one', 'many')
    spatial_axes: ClassVar[tuple[int, ...]] = (0, 1, 2, 3)  # of none every sample is an image of one pixel
    examples: ClassVar[Mapping[str, Example]] = {'default': Example()}

    # What is so of few losses; the checks ask for it, and tests hold it against what the losses do.
    of_overlap: ClassVar[bool] = False  # made of sums tp, fp, fn, which a fused operator takes
    reductions: ClassVar[tuple[str, ...]] = ('mean',)  # of a mean over pixels also 'sum' and 'none', over cells 'none'
    needs_logits: ClassVar[bool] = False  # from_logits=False is refused
    needs_softmax: ClassVar[bool] = False  # several channels are a distribution over classes, or refused
    needs_region: ClassVar[bool] = False  # an image of a few pixels is refused
    needs_areas: ClassVar[bool] = False  # pixels next to a border of the labels cost nothing
    learnt: ClassVar[tuple[str, ...]] = ()  # what training changes besides the network
    on_host: ClassVar[bool] = False  # a part of it is computed in NumPy, where XLA of TensorFlow cannot go
    of_branch: ClassVar[bool] = False  # pred is what a branch of its own predicts, not one map for each class
    of_image: ClassVar[bool] = False  # that branch predicts numbers of an image as a whole
    extras: ClassVar[tuple[str, ...]] = ()  # what a call may be given by name, besides labels and weights
    needs: ClassVar[tuple[str, ...]] = ()  # those of them that a call cannot do without
    gradient_of: ClassVar[tuple[str, ...]] = ('pred',)  # what has a gradient, of pred and the extras

    if TYPE_CHECKING:  # what every loss has, WeightedSumLoss the first alone: as a parameter, a property or a constant

        @property
        def loss_weight(self) -> float: ...

        @property
        def activation(self) -> str: ...

        @property
        def from_logits(self) -> bool: ...

        @property
        def ignore_index(self) -> int | None: ...

    @property
    def extras_taken(self) -> tuple[str, ...]:
        """The ``extras`` that a loss with these parameters takes."""
        return self.extras

    @classmethod
    def is_plain(cls) -> bool:
        """Whether logits of the classes and labels are all that a call has to have."""
        return not cls.needs and not cls.of_branch and not cls.of_features()

    @classmethod
    def of_features(cls) -> bool:
        """Whether a call has features twice, in place of logits and of labels."""
        return cls.labels == ('features',)

    def adapt_case(
        self, pred: np.ndarray, target: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """What the checks give to the loss in place of logits (N, C, *space): its pred, and extras by name.

        Of numbers that float32 has; an extra is an array, or a tuple of arrays.
        """
        return pred, {}

    @property
    def one_label(self) -> bool:
        """Whether labels given as one map for each class must name one class in each pixel."""
        return 'soft' not in self.labels and getattr(self, 'activation', 'sigmoid') == 'softmax'

    @property
    def reads_ignored(self) -> bool:
        """Whether predictions have a part where a pixel does not count; False of all losses but by an option of few."""
        return False

    def reference(
        self,
        pred: ArrayLike,
        target: ArrayLike,
        pixel_weight: ArrayLike | None = None,
        ignore_index: int | None = None,
        **extras: Any,
    ) -> float | Any:
        """The loss in NumPy float64: ``pred`` (N, C, *space) as ``from_logits`` says -> float.

        A prediction that is no number where it counts gives NaN; labels, weights and probabilities outside their range
        are a ValueError (``shared_spec.values``). A part whose factor is 0 is absent, infinite or not.
        """
        if (reduction := extras.get('reduction', 'mean')) not in self.reductions:
            raise ValueError(f'{type(self).__name__}: reduction must be one of {self.reductions}, got {reduction!r}')
        if self.reductions == ('mean',):
            extras.pop('reduction', None)
        check_known(type(self), extras)
        check_needs(type(self).__name__, self.needs, extras, 'first')
        batch = prepare(self, pred, target, pixel_weight, ignore_index)
        with np.errstate(invalid=None if self.loss_weight else 'ignore'):
            loss = self.of_batch(batch, **extras)
        loss = loss if self.loss_weight else np.zeros_like(loss)  # an infinite loss as well
        if np.ndim(loss) > 1:  # a map
            return np.where(batch.sound.reshape(np.shape(loss)), loss, np.nan)
        if np.ndim(loss):  # of images, or of classes, of which a pixel belongs to all
            axis = 1 if things_of(self, 1) == 'images' else None
            return np.where(np.all(batch.sound, axis=axis), loss, np.nan)
        return float(loss) if batch.sound.all() else math.nan

    def held(
        self, pred: ArrayLike, target: ArrayLike, pixel_weight: ArrayLike | None = None, **extras: Any
    ) -> dict[str, Any]:
        """What has no gradient at these inputs, or is on one side of a kink: arguments with which ``reference`` keeps it.

        For the checks, which differentiate the reference numerically for an extra.
        """
        return {}

    def of_batch(self, batch: Batch, *args: Any, **extras: Any) -> float | Any:
        """The loss of a ``Batch`` whose values are what they should be."""
        raise NotImplementedError(type(self).__name__)

    def reference_near(
        self, pred: ArrayLike, target: ArrayLike, pixel_weight: ArrayLike | None = None, **extras: Any
    ) -> Callable[[np.ndarray], Any] | None:
        """A function that has the reference's gradient at ``pred`` and is smooth around it; None at a kink.

        The reference itself, unless the loss sorts or takes maxima, whose order it then keeps; a constant may be left
        out where its rounding would drown the gradient.
        """
        return lambda p: self.reference(p, target, pixel_weight, **extras)


class MetricSpec(Spec):
    """A metric. ``reference(preds, targets)`` gives name -> value, a fraction unless ``is_fraction`` says otherwise."""

    takes: ClassVar[str] = 'ids'  # what reference is given as predictions: class ids or 'probabilities'
    mmseg_type: ClassVar[str] = ''
    mmseg_line: ClassVar[str] = ''
    torch_line: ClassVar[str] = ''
    keras_line: ClassVar[str] = ''
    examples: ClassVar[Mapping[str, Example]]

    def names(self) -> list[str]:
        """The names of the results, in order."""
        raise NotImplementedError(type(self).__name__)

    def is_fraction(self, name: str) -> bool:
        """Whether a result is a fraction, which printers show in per cent; the others are distances."""
        return True

    def reference(self, preds: Any, targets: Any, *args: Any, **extras: Any) -> dict[str, float]:
        raise NotImplementedError(type(self).__name__)


S = TypeVar('S', bound=Spec)


def shared_parameters(cls: type[S]) -> type[S]:
    """Class decorator: parameters that several losses share; no loss of its own."""
    return dataclasses.dataclass(frozen=True, kw_only=True)(cls)


@functools.cache
def arguments_of(cls: type[LossSpec]) -> tuple[str, ...] | None:
    """What ``of_batch`` of a loss takes by name besides the batch; None where it hands on what it is given."""
    known = inspect.signature(cls.of_batch).parameters.values()
    return None if any(one.kind is one.VAR_KEYWORD for one in known) else tuple(one.name for one in known)[2:]


def check_known(cls: type[LossSpec], extras: Mapping[str, Any]) -> None:
    """TypeError for what a call of the reference has no name for."""
    known = arguments_of(cls)
    if known is None:
        return
    for name in extras:
        if name not in known:
            meant = nearest(name, ['pixel_weight', 'ignore_index', *known])
            hint = f', did you mean {meant!r}?' if meant else ''
            raise TypeError(f'{cls.__name__}: unexpected argument {name!r}{hint}')
