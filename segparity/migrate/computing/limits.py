"""What a computed loss may ask for, and the sentence where it asks for more or for what is not known."""

import math
from collections.abc import Iterable

MOST = 1_000_000  # numbers of an array
WORK = 4_000_000  # numbers of all arrays of one call
INSTRUCTIONS = 20_000  # of one call
DIMENSIONS = 12


class NotUnderstood(ValueError):
    """A loss that is not computed; the text ends a sentence "it is not computed without running it: ..."."""


def allowed(shape: Iterable[int]) -> tuple[int, ...]:
    """The shape, where an array of it may be made; NotUnderstood otherwise."""
    shape = tuple(int(size) for size in shape)
    if len(shape) > DIMENSIONS or any(size < 0 for size in shape) or math.prod(shape) > MOST:
        raise NotUnderstood(f'an array of shape {str(shape)[:60]} is too large')
    return shape
