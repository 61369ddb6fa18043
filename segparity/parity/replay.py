"""A loss on a case: which it meets, with which parameters, and what the reference says."""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import numpy as np

from segparity.parity import sample_cases  # noqa: F401  whose cases are among CASES then
from segparity.parity.cases import CASES, Case, build
from segparity.parity.derivative import SECOND, STEP, gradient
from segparity.parity.extras import joined
from shared_spec import LOSSES, Example, LossSpec, from_dict
from shared_spec.inputs import prepare

FLAT = 1e-9  # what is left of a gradient of 0 in central differences


def applies(loss: type[LossSpec], example: Example, case: Case) -> bool:
    """Whether an example of a loss is meant for the case's labels, channels and spatial axes."""
    return (
        case.labels in loss.labels
        and case.labels in example.labels
        and case.channels in loss.channels
        and case.channels in example.channels
        and case.spatial_axes in loss.spatial_axes
        and case.spatial_axes in example.spatial_axes
    )


def spec_for(loss: type[LossSpec], example: Example, case: Case) -> LossSpec:
    """The spec of an example on a case: the example's parameters with the case's labels to ignore and kind of pred."""
    params = dict(example.params)
    if example.class_weight:
        params[example.weights] = [0.5 + 0.75 * k for k in range(case.pred.shape[1])]
    return on_case(loss(**params), case)


def on_case(spec: LossSpec, case: Case) -> LossSpec:
    """The spec with the case's ``from_logits`` and ``ignore_index``, its parts' too where it is a sum."""
    config = spec.to_dict()
    if 'losses' in config:
        parts = [on_case(part, case).to_dict() for part in cast(Any, spec).parts]
        return cast(LossSpec, from_dict({**config, 'losses': parts, 'weights': list(cast(Any, spec).shares)}))
    of_case = {'from_logits': case.from_logits, 'ignore_index': case.ignore_index}
    if spec.of_features():  # which are neither
        of_case = {}
    return cast(LossSpec, from_dict({**config, **of_case}))


_built = functools.cache(build)  # for what a case is; its arrays belong to nobody


def combinations(names: Iterable[str] | None = None) -> Iterator[tuple[str, str, str]]:
    """(loss name, example name, case name) of every combination that applies."""
    for name in names or LOSSES:
        for example_name, example in LOSSES[name].examples.items():
            for case_name in CASES:
                if applies(LOSSES[name], example, _built(case_name)):
                    yield name, example_name, case_name


def reference(
    spec: LossSpec, case: Case, differentiate: Callable[..., np.ndarray] = gradient
) -> tuple[float, np.ndarray | None]:
    """(value, gradient or None) of the reference on a case; the gradient by central differences.

    differentiate: ``(function, x, step)`` gives what stands for the gradient at x, where the value is a number.

    Where the value is NaN the gradient is NaN wherever that of numbers in their place is not 0, and 0 elsewhere; if it is
    0 everywhere, at the pixels that are no numbers. Gradients of extras stand behind that of pred, all of them in one row;
    of a loss that needs extras none is known where the value is NaN.
    """
    case = case.adapted(spec)
    inputs, call = (case.target, case.weight), case.call
    value = spec.reference(case.pred, *inputs, **call)
    pred = np.where(np.isfinite(case.pred), case.pred, 0)  # the same where they are ignored
    near = spec.reference_near(pred, *inputs, **call) if case.smooth else None
    if near is None or (spec.needs and np.isnan(value)):
        return value, None
    step = case.step or (STEP if case.from_logits else 2.0**-12)  # a logarithm of a probability is steeper
    if not np.isnan(value):
        slope = differentiate(near if 'pred' in spec.gradient_of else lambda p: 0.0, pred, step)
        extras = (slope_of_extra(spec, case, name, differentiate) for name in of_extras(spec, case))
        return value, joined([slope, *extras])
    steep = np.abs(gradient(near, pred, step, SECOND)) > FLAT
    if not steep.any():
        sound = prepare(spec, case.pred, *inputs, **call).sound
        steep = np.broadcast_to(~np.reshape(sound, (len(pred), 1, *pred.shape[2:])), pred.shape)
    return value, np.where(steep, np.nan, 0)


def of_extras(spec: LossSpec, case: Case) -> list[str]:
    """The extras of a case that have a gradient."""
    return [name for name in spec.gradient_of if name in case.extras]


def slope_of_extra(
    spec: LossSpec, case: Case, name: str, differentiate: Callable[..., np.ndarray] = gradient
) -> np.ndarray:
    """The gradient of the reference with respect to an extra; where it is no number it is ignored, and 0."""
    inputs, x = (case.pred, case.target, case.weight), case.extras[name]
    call = {**case.call, **spec.held(*inputs, **case.call)}
    return differentiate(lambda x: spec.reference(*inputs, **{**call, name: x}), np.where(np.isfinite(x), x, 0), STEP)
