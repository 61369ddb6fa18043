"""The extras of a case, on their way to a worker and into the layout of Keras, and the gradients that come back."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from shared_spec.extras import EXTRAS

# an extra of several arrays, by the names of these in files
IN_PARTS = {'samples': ('sampled_image', 'sampled_index'), 'classifier': ('conv_weight', 'conv_bias')}
MARK = 'extra'  # 'extra.embedding' is an array, 'extra.samples.0' the first of several


def is_several(x: Any) -> bool:
    """Whether an extra is a tuple of arrays; an ``Array`` of a file is a named one."""
    return type(x) is tuple


def packed(extras: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Name -> array of extras by name, each an array or a tuple of arrays."""
    found = {}
    for name, x in extras.items():
        if is_several(x):
            found.update({f'{MARK}.{name}.{k}': np.asarray(part) for k, part in enumerate(x)})
        else:
            found[f'{MARK}.{name}'] = np.asarray(x)
    return found


def unpacked(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """What ``packed`` was given, from among other arrays."""
    found: dict[str, Any] = {}
    for key, x in arrays.items():
        mark, _, rest = key.partition('.')
        name, _, number = rest.partition('.')
        if mark == MARK:
            found[name] = (*found.get(name, ()), x) if number else x
    return found


def of_file(names: Iterable[str], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the named extras that a file's arrays hold."""
    found: dict[str, Any] = {}
    for name in names:
        parts = IN_PARTS.get(name, ())
        if name in arrays:
            found[name] = arrays[name]
        elif parts and set(parts) <= arrays.keys():
            found[name] = tuple(arrays[part] for part in parts)
    return found


def mapped(extras: Mapping[str, Any], function: Any) -> dict[str, Any]:
    """``function(name, array)`` of every array."""
    return {
        name: tuple(function(name, part) for part in x) if is_several(x) else function(name, x)
        for name, x in extras.items()
    }


def channels_last(name: str, x: Any, axis: int = 1, to: int = -1) -> Any:
    """An extra, or its gradient, as Keras has it; with the axes swapped the way back."""
    if name == 'classifier':  # of whose layers the axes are the other way round
        return np.transpose(x)
    return np.moveaxis(x, axis, to) if EXTRAS[name].of_channels else x


def joined(gradients: Sequence[np.ndarray]) -> np.ndarray:
    """One gradient as it is, several one behind the other."""
    return gradients[0] if len(gradients) == 1 else np.concatenate([np.reshape(g, -1) for g in gradients])


def joined_by_name(names: Iterable[str], gradients: Mapping[str, np.ndarray]) -> np.ndarray:
    """The gradient of pred, and behind it those of the extras among names."""
    return joined([gradients['pred'], *(gradients[name] for name in names if name in gradients and name != 'pred')])
