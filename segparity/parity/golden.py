"""The golden vectors: numbers that the official implementations computed, replayed on any framework."""

import dataclasses
import json
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segparity.parity.check import side
from segparity.parity.extras import joined_by_name, mapped, of_file, packed
from segparity.parity.frameworks import Worker
from segparity.parity.tolerances import GRADIENT, gradient_error
from shared_spec import LOSSES, LossSpec
from shared_spec.extras import EXTRAS
from shared_spec.files import one_sentence
from shared_spec.networks import NAMES


@dataclasses.dataclass(frozen=True)
class Golden:
    """One published case: the spec it maps to, its inputs, the source's value and gradient."""

    id: str
    spec: LossSpec
    arrays: dict[str, Any]
    extras: dict[str, Any]
    loss: float
    gradient: np.ndarray
    rtol: float
    atol: float
    ours: bool  # False: a record of source behaviour that the spec deliberately does not follow
    why_not: str
    compare_gradient: bool
    source: str

    @property
    def dtype(self) -> str:
        """The precision in which the source computed it."""
        return 'float32' if self.arrays['pred'].dtype == np.float32 else 'float64'

    def reference(self, precision: str | None = None) -> float:
        """The spec's value, of inputs rounded to a precision where one is named."""
        pred, extras = self.arrays['pred'], self.extras
        if precision:
            pred, extras = pred.astype(precision), mapped(extras, lambda _, x: in_precision(x, precision))
        return self.spec.reference(pred, self.arrays['target'], self.arrays['weight'], **extras)


def in_precision(x: np.ndarray, precision: str) -> np.ndarray:
    return x.astype(precision) if x.dtype.kind == 'f' else x


def with_channels(name: str, x: np.ndarray, axes: int) -> np.ndarray:
    """An extra with an axis of its channels, of which one may come without."""
    return x[:, None] if EXTRAS[name].of_channels and x.ndim < axes else x


def load(folder: str | Path, names: Collection[str] | None = None) -> list[Golden]:
    """Every golden case of ``folder`` (with an index.json) whose loss is in ``names``, by default in the spec."""
    folder = Path(folder)
    found = []
    with one_sentence(f'{folder} holds no golden vectors', passing=FileNotFoundError):
        for entry in json.loads((folder / 'index.json').read_text()):
            if entry['loss'] not in (names or LOSSES):
                continue
            with np.load(folder / f'{entry["id"]}.npz', allow_pickle=False) as data:
                arrays = {name: data[name] for name in data.files}
            network = {name: arrays[name] for name in NAMES if name in arrays}
            parameters = {**entry['params'], **({'weights': network} if network else {})}
            spec = LOSSES[entry['loss']](from_logits=entry['from_logits'], **parameters)
            found.append(
                Golden(
                    id=entry['id'],
                    spec=spec,
                    arrays={'pred': arrays['pred'], 'target': arrays['target'], 'weight': arrays.get('pixel_weight')},
                    extras=mapped(of_file(spec.extras_taken, arrays), partial(with_channels, axes=arrays['pred'].ndim)),
                    loss=float(arrays['loss']),
                    gradient=joined_by_name(
                        spec.gradient_of,
                        {key.removeprefix('grad_'): x for key, x in arrays.items() if key.startswith('grad_')},
                    ),
                    rtol=entry['rtol'],
                    atol=entry['atol'],
                    ours=entry['target'],
                    why_not=entry.get('why_not', ''),
                    compare_gradient=entry.get('compare_grad', True),
                    source=f'{entry["source"]["repo"]} {entry["source"]["callable"]}',
                )
            )
    return found


def is_close(got: float | np.ndarray, want: float, rtol: float, atol: float) -> bool:
    """|got - want| <= atol + rtol * |want|."""
    return bool(np.isfinite(got)) and abs(float(got) - want) <= atol + rtol * abs(want)


def replay(golden: Golden, worker: Worker, dtype: str) -> tuple[bool, float | None]:
    """(value agrees, gradient error or None) of a golden case in a worker's framework.

    In the precision of the source the value is held to the case's own tolerance, in float32 to 1e-6 of the float64
    reference on the rounded inputs (a source's own float32 noise is part of its tolerance there). A gradient that
    depends on what rounding takes from the inputs (1 - p of a probability near 1) is compared on the rounded ones too.
    """
    arrays = {**golden.arrays, 'pred': golden.arrays['pred'].astype(np.float64), **packed(golden.extras)}
    _, got = worker.call(
        side(worker.framework) + ':value_and_gradient', arrays, loss=golden.spec.to_dict(), dtype=dtype
    )
    if not golden.ours:
        agrees = is_close(got['value'], golden.loss, 1e-4, 0)
    elif dtype == 'float64':
        agrees = is_close(got['value'], golden.loss, golden.rtol, golden.atol)
    else:
        agrees = is_close(got['value'], golden.reference('float32'), 1e-6, 1e-6)
    if not (golden.ours and golden.compare_gradient):
        return agrees, None
    error = gradient_error(got['gradient'], golden.gradient)
    if dtype == 'float32' and error > gradient_tolerance(golden, dtype):
        error = gradient_error(got['gradient'], gradient_of_rounded(golden))
    return agrees, error


def gradient_of_rounded(golden: Golden) -> np.ndarray:
    """The gradient at float32 inputs: PyTorch's in float64, which is itself held to the golden one; that without it."""
    try:
        from segparity.parity.torch_side import value_and_gradient
    except ImportError:
        return golden.gradient
    extras = mapped(golden.extras, lambda _, x: in_precision(x, 'float32'))
    arrays = {**golden.arrays, 'pred': golden.arrays['pred'].astype(np.float32).astype(np.float64), **packed(extras)}
    return value_and_gradient(arrays, golden.spec.to_dict(), dtype='float64')[1]['gradient']


def gradient_tolerance(golden: Golden, dtype: str) -> float:
    """Largest gradient error allowed: the source's own precision where that is the coarser one."""
    return max(GRADIENT[dtype], 10 * golden.rtol)
