"""What stands beside infinite distances: how many objects were missed."""

from collections.abc import Sequence

from shared_spec.metrics.boundary.spec import SurfaceDistance
from shared_spec.metrics.boundary.state import BoundaryState


def missed_sentence(state: BoundaryState, spec: SurfaceDistance, class_names: Sequence[str]) -> str:
    """'missed in 3 of 60 (image, class), ...', naming the class with most, of a ``BoundaryState`` under a ``SurfaceDistance``; '' where none is."""
    missed, of = state.missed_counts(spec)
    if not missed.any() or spec.empty == 'diagonal':
        return ''
    c = int(missed.argmax())
    return (
        f'missed in {missed.sum()} of {of.sum()} (image, class), such as {class_names[c]!r} in {missed[c]} of {of[c]} '
        'images: one mask is empty there, so the distance is inf, and so is each mean that has it; rest is the mean of '
        'the others'
    )
