"""The parameters that whole families share. A loss names the groups it takes; what it does not take it refuses."""

import dataclasses
from typing import Any, ClassVar

from shared_spec.checks import CLASS_WEIGHT, CLASSES, Boolean, Choice, Integer, Optional, Real, Weights
from shared_spec.parameters import param
from shared_spec.spec import LossSpec, shared_parameters
from shared_spec.typing import Classes, Granularity


@shared_parameters
class Weighted(LossSpec):
    """The one parameter that every loss has."""

    loss_weight: float = param(1.0, Real(low=0), 'factor on the result')


@shared_parameters
class Shared(Weighted):
    """How a loss reads predictions and labels; one that lacks some of these takes the others by ``as_shared``."""

    activation: str = param(
        'softmax', Choice('softmax', 'sigmoid'), 'how logits become probabilities; one channel is always sigmoid'
    )
    from_logits: bool = param(
        True, Boolean(), 'whether pred holds logits or probabilities', keras_default=False, always=('keras',)
    )
    ignore_index: int | None = param(
        None,
        Optional(Integer()),
        'hard label that counts nowhere, in value and gradient',
        keras_name='ignore_class',
        always=('mmseg', 'keras'),
    )
    sync: bool = param(
        True, Boolean(), 'under data parallelism the loss is that of the global batch (one all-reduce per call)'
    )


def as_shared(name: str) -> Any:
    """A parameter as ``Shared`` declares it, for a loss that lacks another of that group."""
    field = Shared.parameters()[name]
    return dataclasses.field(default=field.default, metadata=field.metadata)


@shared_parameters
class ClassWeighted(LossSpec):
    class_weight: tuple[float, ...] | None = param(None, Optional(CLASS_WEIGHT), "factor on each class's loss")


@shared_parameters
class CellWeighted(ClassWeighted):
    """Class weights of a mean over cells."""

    reductions: ClassVar[tuple[str, ...]] = ('mean', 'none')

    normalize_class_weight: bool = param(
        False,
        Boolean(),
        'whether means over classes divide by the class weights of those that count, not by their number',
    )


@shared_parameters
class Granular(LossSpec):
    """With ``Counted`` what ``mean_over_cells`` reads of a spec."""

    granularity: Granularity = param(
        'D', Weights('D', 'I', 'C'), 'which mean is optimised: over the data set (batch), images, or classes of images'
    )


@shared_parameters
class Counted(LossSpec):
    classes: Classes = param(
        'auto', CLASSES, "which classes count; 'auto': those present for hard labels, all for soft labels"
    )
    presence_threshold: float = param(
        0.01, Real(low=0, high=1, below=True), 'a class is present where its largest target exceeds this'
    )


@shared_parameters
class Smoothed(LossSpec):
    smooth: float = param(1e-3, Real(low=0), 'added to numerator and denominator of a score, in pixels')


@shared_parameters
class Region(Smoothed, Counted, Granular, CellWeighted, Shared):
    """Every parameter that a region loss shares."""

    family: ClassVar[str] = 'region'
    of_overlap: ClassVar[bool] = True


@shared_parameters
class Compound(Smoothed, Counted, Granular, Shared):
    """What the compound losses share: the Dice part takes granularity, classes and smooth like a region loss."""

    family: ClassVar[str] = 'compound'
