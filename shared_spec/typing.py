"""Names of types that several modules say; nothing here runs."""

import os
from collections.abc import Sequence
from typing import Protocol

import numpy as np

AnyPath = str | os.PathLike[str]
Shape = Sequence[int | None]  # None stands for a size that is not known yet
Granularity = str | tuple[tuple[str, float], ...]  # 'D', 'I' or 'C', or pairs of them and weights
Classes = str | tuple[int, ...]  # 'auto', 'present' or 'all', or class ids
Maps = Sequence[np.ndarray] | np.ndarray  # one map for each image
Column = np.ndarray | list[str]  # of a table


class CellParameters(Protocol):
    """What ``mean_over_cells`` reads of a spec."""

    @property
    def granularity(self) -> Granularity: ...

    @property
    def classes(self) -> Classes: ...

    @property
    def presence_threshold(self) -> float: ...


class CellLoss(CellParameters, Protocol):
    """What ``reduce_cells`` reads of a spec."""

    @property
    def loss_weight(self) -> float: ...

    @property
    def class_weight(self) -> tuple[float, ...] | None: ...

    @property
    def normalize_class_weight(self) -> bool: ...
