"""What the soft-label functions take: the same rules and the same sentences for NumPy, PyTorch and Keras.

Works on tuples of integers in which None stands for a size that is not known yet (Keras tracing a graph).
"""

from collections.abc import Iterable
from typing import Any

from shared_spec import shapes
from shared_spec.checks import Integer, Optional, Real
from shared_spec.parameters import SpecError, check_parameter
from shared_spec.typing import Shape

KINDS = {
    'epsilon': Real(low=0, high=1),
    'window': Integer(low=1),
    'num_classes': Integer(low=1),
    'ignore_index': Optional(Integer()),
    'ignore_class': Optional(Integer()),
    'missing': Optional(Integer(low=-(2**31), high=2**31 - 1)),  # what every backend's ids can hold
}
WEIGHTINGS = ('uniform', 'dice')
OF_SAMPLES = ('label_smoothing',)  # which have a meaning without spatial axes


def check_parameters(owner: str, **given: object) -> list[Any]:
    """The canonical values of parameters, in their order; refuses with ValueError."""
    values = []
    for name, value in given.items():
        try:
            values.append(check_parameter(owner, name, KINDS[name], value))
        except SpecError as error:
            raise ValueError(str(error)) from None
    return values


def check_window(owner: str, window: int) -> int:
    """An odd number of pixels."""
    (window,) = check_parameters(owner, window=window)
    if window % 2 == 0:
        raise ValueError(f'{owner}: window must be odd, got {window}')
    return window


def check_weighting(owner: str, weighting: str, num_classes: int) -> None:
    """Refuses a weighting that does not exist, or not for so many classes."""
    if weighting not in WEIGHTINGS:
        raise ValueError(f'{owner}: weighting must be {" or ".join(map(repr, WEIGHTINGS))}, got {weighting!r}')
    if weighting == 'dice' and num_classes != 2:
        raise ValueError(f"{owner}: weighting='dice' needs num_classes=2, got {num_classes}")


def check_missing(
    owner: str, missing: int | None, num_classes: int, ignored: int | None, ignore: str = 'ignore_index'
) -> int | None:
    """The label of absent annotators, or None; ``ignore`` is the name of the argument that leaves a label out."""
    (missing,) = check_parameters(owner, missing=missing)
    if missing is not None and (0 <= missing < num_classes or missing == ignored):
        raise ValueError(f'{owner}: missing must be an integer that is no class and not {ignore}, got {missing}')
    return missing


def check_labels(owner: str, shape: Shape, are_integers: bool, dtype: object) -> None:
    """Refuses labels that are no class ids, or whose rank has no meaning."""
    if not are_integers:
        raise TypeError(f'{owner}: target must hold integer class ids, got {dtype}')
    least = 0 if owner in OF_SAMPLES else 1
    if not least < len(shape) <= 4:
        axes = ', '.join(map(str, range(least, 3)))
        raise ValueError(
            f'{owner}: target must be (N, *space) with {axes} or 3 spatial axes, got shape {shapes.as_text(shape)}'
        )


def check_is_given(owner: str, targets: object) -> None:
    """Refuses None, and all else that is no sequence, in place of the annotators' label maps, and None among them."""
    if not hasattr(targets, '__getitem__') or getattr(targets, 'shape', None) == ():
        raise TypeError(f'{owner}: targets must have a label map for each annotator, got {targets!r}')
    if isinstance(targets, (list, tuple)):
        for number, target in enumerate(targets):
            if target is None:
                raise TypeError(
                    f'{owner}: targets must have a label map for each annotator, got None as number {number}'
                )


def check_annotators(owner: str, given: Iterable[Shape]) -> None:
    """Refuses the shapes of the annotators' label maps where there is none, or they differ."""
    given = [tuple(shape) for shape in given]
    if not given or len(given[0]) < 2:
        got = shapes.as_text((len(given), *(given[0] if given else ())))
        raise ValueError(f'{owner}: targets must be (annotators, N, *space) with an annotator, got {got}')
    for shape in given:
        if not shapes.may_be_equal(shape, given[0]):
            raise ValueError(
                f'{owner}: targets must have one shape, got {shapes.as_text(given[0])} and {shapes.as_text(shape)}'
            )
