"""What commands print for programs: JSON in which NaN is null and what is infinite is "inf" or "-inf"."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from rich.console import Console

from segparity import __version__


def print_json(console: Console, command: str, found: Mapping[str, Any]) -> None:
    """One object with the version and the command in front, and nothing else on the standard output."""
    text = json.dumps(json_value({'segparity': __version__, 'command': command, **found}), indent=1, allow_nan=False)
    console.out(text, highlight=False)


def json_value(value: Any) -> Any:
    """The same in what JSON has."""
    if isinstance(value, np.ndarray):
        return json_value(value.tolist())
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, (float, np.floating)):
        value = float(value)
        return value if math.isfinite(value) else None if math.isnan(value) else 'inf' if value > 0 else '-inf'
    if isinstance(value, Mapping):
        return {str(key): json_value(v) for key, v in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [json_value(v) for v in value]
    return value
