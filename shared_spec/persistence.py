"""Persistent homology of pictures and volumes, by GUDHI: where components, holes and cavities of sublevel sets begin and end."""

from typing import NamedTuple

import numpy as np

MISSING = "topology needs GUDHI and SciPy: pip install 'segparity[topology]'"
NEVER = -1  # the place at which the one component dies that is left in the end


class Pairs(NamedTuple):
    """The features of one dimension: the pixels (row-major places) whose values are their births and their deaths."""

    births: np.ndarray
    deaths: np.ndarray


def persistence(field: np.ndarray) -> list[Pairs]:
    """The features of {field <= t}, t rising, of each dimension 0, 1, ... below the number of axes of ``field`` (*space).

    Pixels are closed squares (cubes) of a cubical complex: those that touch at a corner are connected. Features that die
    as they are born are left out. Finite numbers alone.
    """
    try:
        from gudhi import CubicalComplex
    except ImportError:
        raise ImportError(MISSING) from None
    complex_ = CubicalComplex(top_dimensional_cells=np.ascontiguousarray(field, np.float64))
    complex_.compute_persistence()
    regular, essential = complex_.cofaces_of_persistence_pairs()
    found = []
    for k in range(field.ndim):
        pairs = np.asarray(regular[k] if k < len(regular) else [], np.int64).reshape(-1, 2)
        lasting = np.asarray(essential[k] if k < len(essential) else [], np.int64).reshape(-1)
        births, deaths = (row_major(x, field.shape) for x in (np.append(pairs[:, 0], lasting), pairs[:, 1]))
        found.append(Pairs(births, np.append(deaths, np.full(len(lasting), NEVER))))
    return found


def row_major(places: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Places in NumPy's order of such in GUDHI's, whose first axis varies fastest."""
    return np.ravel_multi_index(np.unravel_index(places, shape, order='F'), shape) if len(places) else places


def coordinates(pairs: Pairs, field: np.ndarray, last: float) -> tuple[np.ndarray, np.ndarray]:
    """(K,) births and deaths of features in a field; ``last`` is the death of what never dies."""
    flat = field.reshape(-1)
    return flat[pairs.births], np.where(pairs.deaths == NEVER, last, flat[pairs.deaths])
