"""Names of types that several modules say."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import keras

from shared_spec.typing import CellParameters

Tensor = (
    Any  # of whichever backend Keras runs on: tf.Tensor, jax.Array or torch.Tensor, traced or not; they share no type
)
DType = str | keras.DTypePolicy
Logs = dict[str, Any]  # of a callback


class Partners(Protocol):
    """The replicas or ranks that train together with this one, their ``number``, and which of them this one is."""

    number: int
    rank: Any  # an integer, or a tensor of one

    def sum(self, vector: Tensor) -> Tensor:
        """The vector added over all of them, this one included, with its gradient."""
        ...

    def gather(self, rows: Sequence[Tensor]) -> tuple[Sequence[Tensor], Callable[[Tensor], Tensor]]:
        """(rows, own): each of ``rows`` (K, P) with the pixels of all, and what cuts this one's out again; no gradient."""
        ...


class CellLoss(CellParameters, Protocol):
    """What ``reduce_cells`` reads of a spec."""

    @property
    def sync(self) -> bool: ...

    @property
    def class_weight(self) -> tuple[float, ...] | None: ...

    @property
    def normalize_class_weight(self) -> bool: ...
