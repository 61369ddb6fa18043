"""The spec of a loss or a metric: its parameters, declared once.

A spec is a frozen dataclass whose fields are the parameters. Each field carries what is allowed, what it means and
what it is called in each world; both plugins hand their constructor's arguments to the spec, so a wrong name, type or
value is refused in one place and in one sentence.
"""

import dataclasses
import inspect
import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from shared_spec.checks import CLASS_WEIGHT, CLASSES, Boolean, Choice, Integer, Optional, Real, Weights, nearest
from shared_spec.inputs import prepare
from shared_spec.other_words import of_value, translated

LOSSES = {}
METRICS = {}

REQUIRED = dataclasses.MISSING
_SAME = object()


class SpecError(ValueError):
    """A parameter that a spec refuses: which one, what was given, what is allowed."""


def param(default, allowed, meaning, *, keras_default=_SAME, keras_name=None, always=()):
    """A parameter of a spec.

    ``always`` names the worlds ('mmseg', 'keras') whose configuration writes the parameter even at its default.
    """
    return dataclasses.field(
        default=default,
        metadata=dict(
            allowed=allowed,
            meaning=meaning,
            keras_default=default if keras_default is _SAME else keras_default,
            keras_name=keras_name,
            always=frozenset(always),
        ),
    )


class NamedParameters(type):
    """Metaclass of specs and of the plugins' classes: an unknown parameter name is a SpecError, not a TypeError."""

    def __call__(cls, *args, **kwargs):
        known = [
            p.name
            for p in inspect.signature(cls.__init__).parameters.values()
            if p.name != 'self' and p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        if args and all(
            p.kind is not p.POSITIONAL_OR_KEYWORD
            for p in inspect.signature(cls.__init__).parameters.values()
            if p.name != 'self'
        ):
            raise SpecError(f'{cls.__name__}: parameters are given by name, got {args[0]!r} without one')
        for name in kwargs:
            if name not in known:
                raise SpecError(unknown_parameter(cls.__name__, name, known))
        return super().__call__(*args, **kwargs)


def unknown_parameter(owner, name, known):
    """The sentence for a parameter that does not exist; another library's word is translated."""
    hint = nearest(name, known)
    meant = translated(name, known) or (f'did you mean {hint!r}?' if hint else f'it takes {", ".join(known) or "none"}')
    return f'{owner}: unknown parameter {name!r}, {meant}'


def unknown_name(kind, name, known):
    """The sentence for a loss or metric that does not exist."""
    hint = nearest(name, known)
    return f'unknown {kind} {name!r}' + (f', did you mean {hint!r}?' if hint else f', known are {", ".join(known)}')


@dataclasses.dataclass(frozen=True)
class Example:
    """A configuration that the parity checks replay, and the inputs it is meant for."""

    params: Mapping = dataclasses.field(default_factory=dict)
    labels: tuple = ('hard', 'soft')
    channels: tuple = ('one', 'many')
    class_weight: bool = False  # add one weight for each class of the case


class Spec(metaclass=NamedParameters):
    """What losses and metrics have in common: checked fields, exact round-trip, text for ``segparity show``."""

    title: ClassVar[str] = ''
    formula: ClassVar[str] = ''
    source: ClassVar[str] = ''
    remarks: ClassVar[str] = ''

    def __post_init__(self):
        for field in dataclasses.fields(self):
            allowed, value = field.metadata['allowed'], getattr(self, field.name)
            try:
                frozen = allowed.freeze(value)
            except SpecError:
                raise
            except (ValueError, TypeError, OverflowError, KeyError):
                hint, meant = allowed.hint(value), of_value(field.name, value)
                raise SpecError(
                    f'{type(self).__name__}: {field.name} must be {allowed.describe()}, got {value!r}'
                    + (f'; {meant}' if meant else f', did you mean {hint!r}?' if hint else '')
                ) from None
            object.__setattr__(self, field.name, frozen)
        self.validate()

    def validate(self):
        """Rules that tie parameters together; overridden where there are any. Raises SpecError."""

    @classmethod
    def parameters(cls):
        """Name -> dataclass field, in order of declaration."""
        return {field.name: field for field in dataclasses.fields(cls)}

    def thawed(self, name):
        return self.parameters()[name].metadata['allowed'].thaw(getattr(self, name))

    def to_dict(self):
        """``{'type': name, ...every parameter}`` in plain, JSON-able Python; ``from_dict`` gives back an equal spec."""
        return {'type': type(self).__name__, **{name: self.thawed(name) for name in self.parameters()}}

    @classmethod
    def from_dict(cls, config):
        config = dict(config)
        kind = config.pop('type', cls.__name__)
        if kind != cls.__name__:
            raise SpecError(f'{cls.__name__}: this is the configuration of {kind!r}')
        return cls(**config)

    def _written(self, world):
        """The parameters that a configuration of ``world`` states: those off their default, and the ``always`` ones."""
        for name, field in self.parameters().items():
            default = field.metadata['keras_default'] if world == 'keras' else field.default
            if world in field.metadata['always'] or default is REQUIRED:
                yield name, field
            elif getattr(self, name) != field.metadata['allowed'].freeze(default):
                yield name, field

    @classmethod
    def keras_names(cls):
        """Keras argument name -> parameter name."""
        return {f.metadata['keras_name'] or name: name for name, f in cls.parameters().items()}

    @classmethod
    def keras_defaults(cls):
        """Parameter name -> default of the Keras constructor, of those that have one."""
        defaults = {name: f.metadata['keras_default'] for name, f in cls.parameters().items()}
        return {name: value for name, value in defaults.items() if value is not REQUIRED}

    @classmethod
    def from_keras(cls, arguments):
        """The spec of a Keras constructor's arguments (``ignore_class`` for ``ignore_index``); Keras' defaults hold."""
        names = cls.keras_names()
        for name in arguments:
            if name not in names:
                raise SpecError(unknown_parameter(cls.__name__, name, list(names)))
        try:
            return cls(**{**cls.keras_defaults(), **{names[k]: v for k, v in arguments.items()}})
        except SpecError as error:
            text = str(error)
            for keras_name, name in names.items():
                text = text.replace(f': {name} must', f': {keras_name} must')
            raise SpecError(text) from None

    def to_keras(self):
        """The Keras constructor's keyword arguments; ``from_logits`` and ``ignore_class`` always written out."""
        return {f.metadata['keras_name'] or name: self.thawed(name) for name, f in self._written('keras')}

    def keras_arguments(self):
        """Every argument of the Keras constructor, for ``get_config``."""
        return {f.metadata['keras_name'] or name: self.thawed(name) for name, f in self.parameters().items()}


class LossSpec(Spec):
    """A loss. Subclasses add parameters, ``of_batch`` and the text that ``segparity show`` prints."""

    family: ClassVar[str] = ''
    labels: ClassVar[tuple] = ('hard', 'soft')
    channels: ClassVar[tuple] = ('one', 'many')
    spatial_axes: ClassVar[tuple] = (1, 2, 3)
    examples: ClassVar[Mapping] = {'default': Example()}

    @property
    def one_label(self):
        """Whether labels given as one map for each class must name one class in each pixel."""
        return 'soft' not in self.labels and getattr(self, 'activation', 'sigmoid') == 'softmax'

    def to_mmseg(self):
        """The MMSegmentation config dict; ``ignore_index`` always written out."""
        return {'type': type(self).__name__, **{name: self.thawed(name) for name, _ in self._written('mmseg')}}

    def reference(self, pred, target, pixel_weight=None, ignore_index=None, **extras):
        """The loss in NumPy float64: ``pred`` (N, C, *space) as ``from_logits`` says -> float.

        A prediction that is no number where it counts gives NaN; labels, weights and probabilities outside their range
        are a ValueError (``shared_spec.values``). A part whose factor is 0 is absent, infinite or not.
        """
        batch = prepare(self, pred, target, pixel_weight, ignore_index)
        with np.errstate(**({} if self.loss_weight else {'invalid': 'ignore'})):
            loss = self.of_batch(batch, **extras)
        loss = loss if self.loss_weight else np.zeros_like(loss)  # an infinite loss as well
        if np.ndim(loss):  # a map
            return np.where(batch.sound.reshape(loss.shape), loss, np.nan)
        return float(loss) if batch.sound.all() else math.nan

    def of_batch(self, batch, **extras):
        """The loss of a ``Batch`` whose values are what they should be."""
        raise NotImplementedError(type(self).__name__)

    def near(self, pred, target, pixel_weight=None, **extras):
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
    keras_line: ClassVar[str] = ''

    def names(self):
        """The names of the results, in order."""
        raise NotImplementedError(type(self).__name__)

    def is_fraction(self, name):
        """Whether a result is a fraction, which printers show in per cent; the others are distances."""
        return True

    def reference(self, preds, targets, **extras):
        raise NotImplementedError(type(self).__name__)


def shared_parameters(cls):
    """Class decorator: parameters that several losses share; no loss of its own."""
    return dataclasses.dataclass(frozen=True, kw_only=True)(cls)


def loss_spec(cls):
    """Class decorator: a complete loss, found by its name in ``LOSSES``."""
    cls = shared_parameters(cls)
    LOSSES[cls.__name__] = cls
    return cls


def metric_spec(cls):
    """Class decorator: a complete metric, found by its name in ``METRICS``."""
    cls = shared_parameters(cls)
    METRICS[cls.__name__] = cls
    return cls


# The parameters that whole families share. A loss names the groups it takes; what it does not take it refuses.


@shared_parameters
class Weighted(LossSpec):
    loss_weight: float = param(1.0, Real(low=0), 'factor on the result')


@shared_parameters
class Shared(Weighted):
    activation: str = param(
        'softmax', Choice('softmax', 'sigmoid'), 'how logits become probabilities; one channel is always sigmoid'
    )
    from_logits: bool = param(
        True, Boolean(), 'whether pred holds logits or probabilities', keras_default=False, always=('keras',)
    )
    ignore_index: int = param(
        None,
        Optional(Integer()),
        'hard label that counts nowhere, in value and gradient',
        keras_name='ignore_class',
        always=('mmseg', 'keras'),
    )
    sync: bool = param(
        True, Boolean(), 'under data parallelism the loss is that of the global batch (one all-reduce per call)'
    )


def as_shared(name):
    """A parameter as ``Shared`` declares it, for a loss that lacks another of that group."""
    field = Shared.parameters()[name]
    return dataclasses.field(default=field.default, metadata=field.metadata)


@shared_parameters
class ClassWeighted(LossSpec):
    class_weight: tuple = param(None, Optional(CLASS_WEIGHT), "factor on each class's loss")


@shared_parameters
class Granular(LossSpec):
    granularity: str = param(
        'D', Weights('D', 'I', 'C'), 'which mean is optimised: over the data set (batch), images, or classes of images'
    )


@shared_parameters
class Counted(LossSpec):
    classes: str = param(
        'auto', CLASSES, "which classes count; 'auto': those present for hard labels, all for soft labels"
    )
    presence_threshold: float = param(
        0.01, Real(low=0, high=1, below=True), 'a class is present where its largest target exceeds this'
    )


@shared_parameters
class Smoothed(LossSpec):
    smooth: float = param(1e-3, Real(low=0), 'added to numerator and denominator of a score, in pixels')


@shared_parameters
class Region(Smoothed, Counted, Granular, ClassWeighted, Shared):
    """Every parameter that a region loss shares."""

    family: ClassVar[str] = 'region'


@shared_parameters
class Compound(Smoothed, Counted, Granular, Shared):
    """What the compound losses share: the Dice part takes granularity, classes and smooth like a region loss."""

    family: ClassVar[str] = 'compound'


def from_dict(config):
    """The spec that a configuration ``{'type': name, ...}`` describes, loss or metric."""
    kind = dict(config).get('type')
    known = {**LOSSES, **METRICS}
    if kind not in known:
        raise SpecError(unknown_name('loss or metric', kind, sorted(known)))
    return known[kind].from_dict(config)
