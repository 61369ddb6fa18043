"""Whether a larger or a smaller result is better, for ``mode='auto'`` of Keras' callbacks.

Keras asks the metric that has the monitored name. A result of ``SegmentationReport``, ``HostMetrics`` or
``WorstCaseResults`` is no metric of its own, nor is one of a model of several outputs, whose name comes first: there
Keras 3.15 raises after the first epoch. Only where it would do that is the name looked up here.
"""

import functools
import re
from typing import Any

import keras

LARGER = (
    r'aAcc|FWIoU|(?:m(?:Acc|IoU|Dice|Precision|Fscore)|BoundaryIoU)(?:D|[IC](?:\d+|Q)?)'
    r'|(?:Acc|IoU|Dice|Precision|Fscore)[DC]_.+'
)
SMALLER = r'(?:ECE|SCE)[DI]|(?:HD|HD95|ASSD)[IC](?:_rest)?|missed'


def mode_of(name: str) -> str | None:
    """'max' or 'min' for the name of a result of ours, whatever stands before it (``val_``, an output); else None."""
    for mode, names in (('max', LARGER), ('min', SMALLER)):
        if re.search(rf'(?:^|[^A-Za-z0-9])(?:{names})(?:_\d+)?$', name):
            return mode
    return None


def teach(callback: type[keras.callbacks.Callback]) -> None:
    """Makes ``mode='auto'`` of a class of callbacks know our results, where it is decided by ``_set_monitor_op``."""
    owner: Any = next((cls for cls in callback.__mro__ if '_set_monitor_op' in vars(cls)), None)
    if owner is None or hasattr(owner._set_monitor_op, '__wrapped__'):
        return
    decide = owner._set_monitor_op

    @functools.wraps(decide)
    def _set_monitor_op(self: Any) -> None:
        try:
            decide(self)
        except ValueError:
            mode = mode_of(self.monitor)
            if mode is None:
                raise
            self.mode = mode
            decide(self)

    owner._set_monitor_op = _set_monitor_op


for _callback in (keras.callbacks.EarlyStopping, keras.callbacks.ModelCheckpoint, keras.callbacks.ReduceLROnPlateau):
    teach(_callback)
