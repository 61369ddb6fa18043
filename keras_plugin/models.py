"""A functional Keras model of several outputs, whose losses get what they need besides predictions and labels."""

import contextlib
import inspect
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import keras
from keras import ops, tree

from keras_plugin.layers.embedding_bank import EmbeddingBank
from keras_plugin.losses.base import handing_over
from keras_plugin.named_outputs import MAIN, check_names, for_metrics, measured_names, same_for
from keras_plugin.typing import Tensor


@keras.saving.register_keras_serializable(package='segparity')
class BranchedModel(keras.Model):
    """``BranchedModel(inputs, dict(logits=..., embedding=...))``: ``fit`` hands the outputs to losses that take them by name.

    The output 'logits', (N, *space, C), logits or probabilities, is the segmentation: ``compile(loss=loss)`` is of it, and
    so are all metrics. Other outputs go, by their names, to the losses that take such an extra, as 'embedding' does to
    PixelContrastLoss. ``classifier``, which ConditionalBoundaryLoss needs, is the layer that makes the logits, a 1x1
    convolution or a Dense layer; ``bank`` is the EmbeddingBank among the layers, which is filled in training alone.
    Losses of what a branch predicts are given by its name:
    ``compile(loss=dict(logits=..., edges=InverseFormLoss(...)))``; all of them get the same labels and weights.

    TypeError where the outputs are no dictionary with 'logits', and for arguments that Keras' models lack; ValueError for
    several banks.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        owner = type(self).__name__
        for name in kwargs.keys() - {'inputs', 'outputs', 'name', 'trainable'}:
            raise TypeError(f'{owner}: unknown argument {name!r}; a classifier and a bank are found among the layers')
        super().__init__(*args, **kwargs)
        if len(banks_of(self)) > 1:
            raise ValueError(f'{owner}: one EmbeddingBank serves a model, got {len(banks_of(self))}')

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """As Keras', of one loss of the logits, or of losses and metrics by the names of outputs; ValueError for others."""
        given = inspect.signature(keras.Model.compile).bind(self, *args, **kwargs).arguments
        loss, owner = given.get('loss'), type(self).__name__
        if isinstance(loss, (list, tuple)) and len(loss) > 1:
            raise ValueError(
                f'{owner}: loss must be one loss of the logits, or a dictionary by outputs, got a list of {len(loss)}; '
                'WeightedSumLoss adds losses up'
            )
        for what in ('loss', 'metrics', 'weighted_metrics'):
            check_names(owner, what, given.get(what), self.output)
        self.measured = measured_names(given.get('metrics'), given.get('weighted_metrics'))
        super().compile(*args, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """As Keras', which leaves it to models with a ``compile`` of their own."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """The loss of a step, as ``fit`` and ``evaluate`` ask for it."""
        outputs = outputs_of(self, y_pred)
        names = list(self.loss) if isinstance(self.loss, Mapping) else []
        if names:
            y_pred = {name: outputs[name] for name in names}
            y, sample_weight = (same_for(names, given) for given in (y, sample_weight))
        else:
            y_pred = outputs[MAIN]
        with serving(self, outputs, names, training):
            return super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """The metrics of the segmentation, or of the outputs that a dictionary of metrics names."""
        y, y_pred, sample_weight = for_metrics(self.measured, outputs_of(self, y_pred), y, sample_weight)
        return super().compute_metrics(x, y, y_pred, sample_weight)


def banks_of(model: keras.Model) -> list[EmbeddingBank]:
    """The banks among a model's layers."""
    return [layer for layer in model.layers if isinstance(layer, EmbeddingBank)]


def outputs_of(model: keras.Model, y_pred: Any) -> Mapping[str, Tensor]:
    """The outputs by name."""
    if not isinstance(y_pred, Mapping) or MAIN not in y_pred:
        found = ', '.join(y_pred) if isinstance(y_pred, Mapping) else type(y_pred).__name__
        raise TypeError(f'{type(model).__name__}: outputs must be a dictionary that has {MAIN!r}, got {found}')
    return y_pred


@contextlib.contextmanager
def serving(
    model: keras.Model, outputs: Mapping[str, Tensor], names: Collection[str], training: bool
) -> Iterator[None]:
    """In which losses get what a branched model has besides the outputs ``names``, and its bank is filled in training."""
    extras = {name: output for name, output in outputs.items() if name != MAIN and name not in names}
    banks = banks_of(model)
    besides = {'classifier': classifier_of(model), 'bank': banks[0] if banks else None}
    extras |= {name: found for name, found in besides.items() if found is not None}
    with handing_over(extras), filling(banks, training):
        yield


def classifier_of(model: Any) -> tuple[Tensor, Tensor] | None:
    """kernel (D, C) and bias (C,) of the layer that makes the logits; None where it is none of one matrix."""
    layer = made_by(model.output[MAIN])
    while isinstance(layer, (keras.layers.Activation, keras.layers.Softmax)):
        layer = made_by(tree.flatten(layer.input)[0])
    kernel = getattr(layer, 'kernel', None)
    if kernel is None or any(side != 1 for side in kernel.shape[:-2]):
        return None
    kernel = ops.reshape(ops.convert_to_tensor(kernel), kernel.shape[-2:])
    bias = getattr(layer, 'bias', None)
    return kernel, ops.zeros_like(kernel[0]) if bias is None else ops.convert_to_tensor(bias)


def made_by(x: Any) -> Any:
    """The layer whose output a symbolic tensor is."""
    return getattr(getattr(x, '_keras_history', None), 'operation', None)


@contextlib.contextmanager
def filling(banks: list[EmbeddingBank], training: bool) -> Iterator[None]:
    """In which banks take new embeddings in training alone."""
    before = [bank.fills for bank in banks]
    for bank in banks:
        bank.fills = training
    try:
        yield
    finally:
        for bank, fills in zip(banks, before):
            bank.fills = fills
