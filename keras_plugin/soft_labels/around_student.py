"""A model around a student, which it trains: its losses by output, its logs, and its files."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

import keras
from keras import backend, ops, tree

from keras_plugin.distributed import as_one_device_has_it
from keras_plugin.models import BranchedModel, serving
from keras_plugin.named_outputs import MAIN, check_names, for_metrics, measured_names, same_for
from keras_plugin.soft_labels.teacher_terms import parts_of
from keras_plugin.typing import Tensor

Losses = dict[str, keras.losses.Loss]
SEED = 'seed_'


class AroundStudent(keras.Model):
    """What Distiller and MeanTeacher have in common.

    The losses of a student of one output go by the name 'logits'. ``save`` and ``export`` write a plain model,
    ``save_weights`` what training goes on from: random seeds too, which Keras leaves out.
    """

    def __init__(self, student: keras.Model, name: str | None) -> None:
        owner = type(self).__name__
        check_model(owner, 'student', student)
        super().__init__(name=name, dtype=student.dtype_policy, autocast=False)
        self.student = student
        self.label_tracker = keras.metrics.Mean(name='label_loss')
        self.student_losses: Losses = {}
        self.measured: tuple[str, ...] = ()
        self.built = True

    def prepare(
        self, options: Mapping[str, Any], student_loss: Any, metrics: Any, weighted_metrics: Any, also: str
    ) -> None:
        """The part of ``compile`` that is about losses and metrics, before Keras'."""
        owner = type(self).__name__
        for option in options.keys() & {'loss', 'loss_weights'}:
            raise TypeError(f'{owner}: compile takes student_loss and {also}, got {option}')
        self.student_losses = by_output(owner, 'student_loss', student_loss, self.student)
        output = known_output(self.student)
        for what, given in (('metrics', metrics), ('weighted_metrics', weighted_metrics)):
            check_names(owner, what, given, output)
            if given and isinstance(output, Mapping) and MAIN not in output and not isinstance(given, Mapping):
                raise ValueError(
                    f'{owner}: {what} must be a dictionary by the outputs {", ".join(output)}, got {given!r}'
                )
        self.measured = measured_names(metrics, weighted_metrics)

    def label_loss(self, outputs: Mapping[str, Tensor], y: Any, sample_weight: Any, training: bool) -> Tensor:
        """The student's losses on the labels."""
        return self.loss_by_output(self.student_losses, outputs, y, sample_weight, training)

    def loss_by_output(
        self, losses: Losses, outputs: Mapping[str, Tensor], y: Any, sample_weight: Any, training: bool
    ) -> Tensor:
        """The sum of losses, each of an output with its labels and weights."""
        owner = type(self).__name__
        if not losses:
            raise ValueError(f'{owner}: compile it before training: compile(optimizer, student_loss=...)')
        if y is None:
            raise ValueError(f'{owner}: training and evaluation need labels, got none')
        y, weights = (same_for(losses, given) for given in (y, sample_weight))
        for what, given in (('the student has no output', outputs), ('there are no labels', y)):
            for name in losses if isinstance(given, Mapping) else ():
                if name not in given:
                    raise ValueError(f'{owner}: {what} {name!r}, there are {", ".join(given)}')
        branched = isinstance(self.student, BranchedModel)
        with serving(self.student, outputs, losses, training) if branched else contextlib.nullcontext():
            return sum(loss(y[name], outputs[name], (weights or {}).get(name)) for name, loss in losses.items())

    def track(self, x: Any, **losses: Tensor) -> None:
        """Losses of a step into the metrics of their names, images counting the same."""
        number = ops.shape(tree.flatten(x)[0])[0]
        for name, loss in losses.items():
            tracker = next(metric for metric in self.trackers() if metric.name == name)
            tracker.update_state(as_one_device_has_it(ops.stop_gradient(loss)), sample_weight=number)

    def trackers(self) -> list[keras.metrics.Metric]:
        """The metrics that hold losses."""
        return [self.label_tracker]

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """The metrics of the segmentation, or of the outputs that a dictionary of metrics names."""
        if isinstance(y_pred, Mapping) and (self.measured or MAIN in y_pred):
            y, y_pred, sample_weight = for_metrics(self.measured, y_pred, y, sample_weight)
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """As Keras'; where it fails, student and teacher keep their weights on JAX, too."""
        with self.kept():
            return super().fit(*args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """As Keras'; where it fails, student and teacher keep their weights on JAX, too."""
        with self.kept():
            return super().evaluate(*args, **kwargs)

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """In which variables get back the values that Keras takes out of them on JAX before the first step, if that fails."""
        found: list[Any] = []
        if backend.backend() == 'jax':
            variables = *self.trainable_variables, *self.non_trainable_variables, *self.metrics_variables
            found = [(variable, variable.value) for variable in variables]
        try:
            yield
        finally:
            for variable, value in found:
                if variable._value is None:
                    variable._value = value

    def plain(self) -> keras.Model:
        """The model that ``save`` and ``export`` write."""
        return self.student

    def save(self, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
        """Write a plain model, the student of a Distiller, that ``keras.saving.load_model`` reads without this class."""
        self.plain().save(filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    def export(self, filepath: Any, *args: Any, **kwargs: Any) -> Any:
        """Export what ``save`` writes."""
        return self.plain().export(filepath, *args, **kwargs)

    def get_config(self) -> NoReturn:
        """NotImplementedError: there is no file of the whole."""
        owner = type(self).__name__
        raise NotImplementedError(
            f'{owner}: save() writes a plain model, save_weights() what training goes on from; there is no file of both'
        )

    def seeds(self) -> list[Any]:
        """The states of random generators in this model's layers."""
        weights = {id(weight) for weight in self.weights}
        return [variable for variable in self.variables if id(variable) not in weights]

    def save_own_variables(self, store: Any) -> None:
        """As Keras', and the states of random generators: training that stops and goes on draws what it would have drawn."""
        super().save_own_variables(store)
        for k, state in enumerate(self.seeds()):
            store[f'{SEED}{k}'] = ops.convert_to_numpy(state)

    def load_own_variables(self, store: Any) -> None:
        """As ``save_own_variables`` wrote them; ValueError where a file is of other layers."""
        names, own = list(store.keys()), self.seeds()
        found = [name for name in names if name.startswith(SEED)]
        if len(found) != len(own):
            raise ValueError(
                f'{type(self).__name__}: the file has {len(found)} states of random layers, this model {len(own)}'
            )
        super().load_own_variables({name: store[name] for name in names if name not in found})
        for k, state in enumerate(own):
            state.assign(store[f'{SEED}{k}'])


def check_model(owner: str, what: str, given: Any) -> None:
    """Refuses what is no Keras model that has its weights."""
    if not isinstance(given, keras.Model):
        raise TypeError(f'{owner}: {what} must be a keras.Model, got {type(given).__name__}')
    if not given.built:
        raise ValueError(f'{owner}: {what} must have its weights: give it an Input, or call it on images first')


def by_output(owner: str, what: str, given: Any, student: keras.Model) -> Losses:
    """output -> loss, of one loss or a dictionary; TypeError for others, ValueError for outputs that there are not."""
    losses = dict(given) if isinstance(given, Mapping) else {MAIN: given}
    for loss in losses.values():
        if not isinstance(loss, keras.losses.Loss):
            raise TypeError(
                f'{owner}: {what} must be a loss object, or a dictionary of them by outputs (WeightedSumLoss adds losses '
                f'up), got {loss!r}'
            )
        for part in parts_of(loss):
            if part.reduction in (None, 'none'):
                raise ValueError(
                    f'{owner}: {what} must be one number, {type(part).__name__} has reduction={part.reduction!r}'
                )
    output = known_output(student)
    if isinstance(output, Mapping) and not isinstance(given, Mapping) and MAIN not in output:
        raise ValueError(f'{owner}: {what} must be a dictionary by the outputs {", ".join(output)}, got {given!r}')
    if not isinstance(output, (Mapping, type(None))) and isinstance(given, Mapping):
        raise ValueError(
            f'{owner}: {what} must be one loss, for the student has outputs without names, '
            f'got a dictionary of {", ".join(given)}'
        )
    check_names(owner, what, losses, output)
    return losses


def known_output(model: keras.Model) -> Any:
    """The symbolic outputs of a model, None where they are not known before it is called."""
    output, outputs = getattr(model, 'output', None), getattr(model, 'outputs', None)
    return outputs[0] if output is None and outputs and len(outputs) == 1 else output


def by_name(owner: str, what: str, y_pred: Any) -> Mapping[str, Tensor]:
    """Outputs by name, of one the name 'logits'; TypeError for a list."""
    if isinstance(y_pred, (list, tuple)):
        raise TypeError(
            f'{owner}: {what} must have one output or a dictionary of them, got a {type(y_pred).__name__} of {len(y_pred)}'
        )
    return y_pred if isinstance(y_pred, Mapping) else {MAIN: y_pred}


def shared_layers(a: keras.Model, b: keras.Model) -> list[str]:
    """The variables that two models have in common, by their paths."""
    theirs: Iterable[int] = {id(variable) for variable in b.variables}
    return [variable.path for variable in a.variables if id(variable) in theirs]
