"""Outputs of a model by their names, and what losses and metrics of several of them get."""

from collections.abc import Iterable, Mapping
from typing import Any

MAIN = 'logits'  # the output that is the segmentation


def same_for(names: Iterable[str], given: Any) -> Any:
    """name -> labels or weights: what was given for each, or the same for all."""
    if given is None or isinstance(given, Mapping):
        return given
    return dict.fromkeys(names, given)


def check_names(owner: str, what: str, given: Any, output: Any) -> None:
    """ValueError for a name in ``given`` that no output of a dictionary has."""
    for name in given if isinstance(given, Mapping) else ():
        if isinstance(output, Mapping) and name not in output:
            raise ValueError(f'{owner}: {what}: no output is named {name!r}, there are {", ".join(output)}')


def measured_names(*metrics: Any) -> tuple[str, ...]:
    """The outputs that metrics, given by names, are of; none where they are given without."""
    return tuple(dict.fromkeys(name for given in metrics if isinstance(given, Mapping) for name in given))


def for_metrics(
    measured: tuple[str, ...], outputs: Mapping[str, Any], y: Any, sample_weight: Any
) -> tuple[Any, Any, Any]:
    """Labels, predictions and weights for the metrics: of the segmentation, or of the ``measured`` outputs."""
    if not measured:
        y, sample_weight = (x.get(MAIN) if isinstance(x, Mapping) else x for x in (y, sample_weight))
        return y, outputs[MAIN], sample_weight
    y, sample_weight = (same_for(measured, given) for given in (y, sample_weight))
    y, sample_weight = (
        {name: x[name] for name in measured if name in x} if isinstance(x, Mapping) else x for x in (y, sample_weight)
    )
    return y, {name: outputs[name] for name in measured}, sample_weight
