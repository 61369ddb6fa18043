"""What every metric shares: checked arguments, and the sentence that explains a NaN."""

import inspect
import warnings
from collections.abc import Iterable
from typing import Any, TypeVar

import keras
import numpy as np
from keras import ops

from keras_plugin.metrics.label_maps import LabelMaps, label_maps
from keras_plugin.metrics.wrong_pixels import WrongPixels
from keras_plugin.typing import DType, Tensor
from shared_spec.checks import Boolean
from shared_spec.metrics.label_map_spec import LabelMapSpec
from shared_spec.parameters import NamedParameters, SpecError, check_parameter
from shared_spec.spec import Spec

HALVES = 'float16', 'bfloat16'

S = TypeVar('S', bound=Spec)


def spec_of(kind: type[S], owner: str, **arguments: Any) -> S:
    """The spec of a constructor's arguments, refused in the name of ``owner``."""
    try:
        return kind.from_keras(arguments)
    except SpecError as error:
        raise error.rename(owner=owner) from None


def names_of_classes(owner: str, spec: LabelMapSpec, names: Iterable[Any]) -> list[str]:
    """The names of a spec's classes as a list of text."""
    names = [str(name) for name in names]
    if len(names) != spec.num_classes or len(set(names)) != len(names):
        twice = next((f', {name!r} twice' for name in names if names.count(name) > 1), '')
        rule = f'must name the {spec.num_classes} classes, got {len(names)}{twice}'
        raise SpecError(rule, owner=owner, parameter='class_names', given=names)
    return names


class CheckedMetric(keras.metrics.Metric, metaclass=NamedParameters):
    """A metric whose ``result()``, which is traced into every step and cannot raise, is NaN once a pixel was wrong.

    ``check()`` raises the sentence, ``reset_state()`` warns with it, and the callback ``CheckMetrics`` raises it after
    every epoch and evaluation. Whatever ``dtype`` is, the state is int32 and float32 (float64 for float64); only the
    result is cast to ``dtype``, which Keras' ``floatx`` makes half precision only where asked.

    Pixels that make every result NaN: predictions that are no numbers or no class, and labels, weights and probabilities
    outside their range; see ``wrong_pixels``. A subclass adds a batch by ``add`` and gives its results by ``finish_result``.
    """

    _direction = 'up'  # what mode='auto' of Keras' callbacks asks for: larger is better

    def __init__(self, spec: LabelMapSpec, from_logits: bool, name: str | None, dtype: DType | None) -> None:
        super().__init__(name=name, dtype='float32' if dtype is None and keras.config.floatx() in HALVES else dtype)
        owner = type(self).__name__
        self.from_logits = check_parameter(owner, 'from_logits', Boolean(), from_logits)
        if 'float' not in self.dtype:
            raise SpecError(owner=owner, parameter='dtype', given=self.dtype, allowed='a floating point type')
        self.state_dtype = 'float64' if self.dtype == 'float64' else 'float32'
        self.spec, self._wrong = spec, WrongPixels(self)

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Adds a batch; shapes and meanings as in ``keras_plugin.metrics.label_maps``.

        Wrong pixels are counted; ValueError for those that are refused, where they can be seen.
        """
        maps = label_maps(self.spec, type(self).__name__, self.from_logits, y_true, y_pred, sample_weight)
        self._wrong.update(self.spec.num_classes, maps.wrong)
        if 0 not in maps.target.shape:
            self.add(maps, y_pred)

    def add(self, maps: LabelMaps, y_pred: Tensor) -> None:
        """Adds the ``LabelMaps`` of a batch that has pixels, and what was predicted."""
        raise NotImplementedError(type(self).__name__)

    def finish_result(self, value: Tensor) -> Tensor:
        """A result in the metric's dtype; NaN once a pixel was wrong."""
        return ops.cast(self._wrong.nan_if_wrong(value), self.dtype)

    def complaint(self) -> str | None:
        """The sentence about what made the results NaN, or None. Reads the state: not inside a traced function."""
        return self._wrong.complaint(self.spec.num_classes)

    def check(self) -> None:
        """Raises ValueError with the sentence that explains a NaN."""
        complaint = self.complaint()
        if complaint:
            raise ValueError(complaint)

    def per_class(self) -> dict[str, np.ndarray]:
        """Name -> NumPy (num_classes,): the terms of the means over classes of what was seen, as ``IoUD`` of ``mIoUD``.

        Those of D and C; NaN where a class is not defined. Raises the sentence of ``check()``.
        """
        return {}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, those of the spec as the spec has them."""
        known = {**self.spec.keras_arguments(), **self.own_config()}
        known.update(from_logits=self.from_logits, name=self.name, dtype=self.dtype)
        ours: Any = next(
            kind for kind in type(self).__mro__ if kind.__module__.startswith(__package__)
        )  # not a user's own
        return {name: known[name] for name in list(inspect.signature(ours.__init__).parameters)[1:]}

    def own_config(self) -> dict[str, Any]:
        """The arguments that are not the spec's."""
        return {}

    def reset_state(self) -> None:
        """Starts afresh; warns if what is thrown away was NaN."""
        try:
            complaint = self.complaint()
        except Exception:  # traced, or the buffer was handed over: there is no host to tell
            complaint = None
        if complaint:
            warnings.warn(complaint, stacklevel=2)
        super().reset_state()


def host_value(variable: Tensor) -> int:
    """An integer variable's value."""
    return int(ops.convert_to_numpy(variable))
