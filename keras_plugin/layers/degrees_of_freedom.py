"""The degrees of freedom that a loss learns, as a layer: ``fit`` trains and saves the variables of layers alone."""

import math
import weakref
from typing import Any

import keras

from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES
from shared_spec.parameters import check_parameter
from shared_spec.typing import Shape

# name -> the layer of that name that was made last
_newest: weakref.WeakValueDictionary[str, 'DegreesOfFreedom'] = weakref.WeakValueDictionary()


@keras.saving.register_keras_serializable(package='segparity')
class DegreesOfFreedom(keras.layers.Layer):
    """Hands its inputs on unchanged and owns ``log_nu``, the trainable log of nu, for ``RobustTLoss``.

    Put it on the model's logits or probabilities: ``layer = DegreesOfFreedom()``, ``outputs = layer(logits)``,
    ``RobustTLoss(learn_nu=True, layer=layer)``. nu is the value at the start, above 0; now it is ``exp(log_nu)``. The
    name does not count upwards by itself, for a saved loss finds its layer by name: give each layer of a model its own.
    """

    def __init__(
        self, nu: float = 1.0, *, name: str = 'degrees_of_freedom', trainable: bool = True, dtype: DType | None = None
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype, autocast=False)
        allowed = LOSSES['RobustTLoss'].parameters()['nu'].metadata['allowed']
        self.nu = check_parameter('DegreesOfFreedom', 'nu', allowed, nu)
        self.supports_masking = True
        _newest[self.name] = self

    def build(self, input_shape: Shape) -> None:
        self.log_nu = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(math.log(self.nu)),
            dtype='float64' if self.variable_dtype == 'float64' else 'float32',  # half precision would lose the steps
            autocast=False,
            name='log_nu',
        )

    def call(self, inputs: Tensor) -> Tensor:
        return inputs

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), 'nu': self.nu}


def newest_layer(name: str) -> DegreesOfFreedom | None:
    """The layer of that name that was made last and still lives, or None."""
    return _newest.get(name)
