"""Semi-supervised training with ``fit``: a student that learns from labels and from the mean of its own past weights."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import backend, ops, tree

from keras_plugin.distributed import change_once
from keras_plugin.losses import JaccardMetricLoss, WeightedCrossEntropyLoss, WeightedSumLoss
from keras_plugin.named_outputs import MAIN
from keras_plugin.soft_labels import teacher_terms as terms
from keras_plugin.soft_labels.around_student import AroundStudent, Losses, by_name, by_output
from keras_plugin.soft_labels.pairs import LABELLED, UNLABELLED, is_pair
from keras_plugin.typing import Tensor
from shared_spec import shapes
from shared_spec.checks import Boolean, Choice, Integer, Optional, Real
from shared_spec.parameters import SpecError, check_parameter

WEAK = 'weak'
View = Callable[..., Tensor]  # or a Keras layer


class MeanTeacher(AroundStudent):
    """``MeanTeacher(student, ramp_up_steps=2000, strong=...)``: ``fit`` on the batches that ``semi_supervised`` makes.

    The teacher is a copy of the student whose weights follow it after each step, averaged with
    min(momentum, 1 - 1 / (step + 1)), moving statistics too. Unlabelled images go through ``weak``, a geometric
    augmentation, whose result the teacher sees; the student sees ``strong``, an augmentation that moves no pixel, of it.
    Both are Keras layers or functions of images (N, *space, C); random ones must be layers. loss = student_loss +
    consistency_weight * exp(-5 (1 - t)^2) * consistency_loss, t = min(step / ramp_up_steps, 1), where the labels of
    consistency_loss are the teacher's softmax(z / temperature); pixels of which no class has ``confidence_threshold``
    weigh 0. Labelled and unlabelled images go through the student in one batch.

    ``predict``, ``evaluate``, ``save`` and ``export`` are those of the model that ``answers``, 'teacher' or 'student';
    metrics of training are the student's. The logs have 'label_loss' and 'consistency_loss' before its weight. SpecError
    (a ValueError) for parameters; TypeError for batches of other form. Sources: Tarvainen & Valpola, arXiv 1703.01780;
    Laine & Aila, arXiv 1610.02242.
    """

    def __init__(
        self,
        student: keras.Model,
        momentum: float = 0.999,
        *,
        temperature: float = 1.0,
        weak: View | None = None,
        strong: View | None = None,
        consistency_weight: float = 1.0,
        ramp_up_steps: int = 1000,
        confidence_threshold: float | None = None,
        teacher_from_logits: bool = True,
        answers: str = 'teacher',
        name: str | None = None,
    ) -> None:
        owner = type(self).__name__
        super().__init__(student, name)
        self.momentum = check_parameter(owner, 'momentum', Real(low=0, high=1, below=True), momentum)
        self.temperature = check_parameter(owner, 'temperature', Real(low=0, above=True), temperature)
        self.consistency_weight = check_parameter(owner, 'consistency_weight', Real(low=0), consistency_weight)
        self.ramp_up_steps = check_parameter(owner, 'ramp_up_steps', Integer(low=0), ramp_up_steps)
        threshold = Optional(Real(low=0, high=1))
        self.confidence_threshold = check_parameter(owner, 'confidence_threshold', threshold, confidence_threshold)
        self.teacher_from_logits = check_parameter(owner, 'teacher_from_logits', Boolean(), teacher_from_logits)
        self.answers = check_parameter(owner, 'answers', Choice('teacher', 'student'), answers)
        self.weak, self.strong = (check_view(owner, what, view) for what, view in (('weak', weak), ('strong', strong)))
        self.teacher = copy_of(owner, student)
        self.teacher.trainable = False
        self.step = keras.Variable(
            0, shape=(), dtype='int32', trainable=False, name='step', aggregation='only_first_replica'
        )
        self.consistency_tracker = keras.metrics.Mean(name='consistency_loss')
        self.consistency_losses: Losses = {}

    def trackers(self) -> list[keras.metrics.Metric]:
        return [*super().trackers(), self.consistency_tracker]

    def compile(
        self,
        optimizer: Any = 'rmsprop',
        *,
        student_loss: Any,
        consistency_loss: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **options: Any,
    ) -> None:
        """As Keras' ``compile``; each loss is one object, or a dictionary of them by the student's outputs.

        ``consistency_loss`` gets the teacher's probabilities for labels. By default it is 0.25 * cross-entropy + 0.75 *
        JaccardMetricLoss of 'logits', or of every output that student_loss is of. Metrics of a dictionary of outputs are
        of 'logits', or given by names.
        """
        owner = type(self).__name__
        self.prepare(options, student_loss, metrics, weighted_metrics, 'consistency_loss')
        if consistency_loss is None:
            self.consistency_losses = self.consistency_by_default()
        else:
            self.consistency_losses = by_output(owner, 'consistency_loss', consistency_loss, self.student)
        for what, losses in (('student_loss', self.student_losses), ('consistency_loss', self.consistency_losses)):
            for name in self.consistency_losses:
                check_from_logits(owner, what, losses.get(name), self.teacher_from_logits)
        terms.check_terms(owner, 'consistency_loss', self.consistency_losses, self.temperature)
        super().compile(optimizer, metrics=metrics, weighted_metrics=weighted_metrics, **options)

    def consistency_by_default(self) -> Losses:
        """0.25 * cross-entropy + 0.75 * JaccardMetricLoss of what the student's outputs are."""
        found: Losses = {}
        for name in [MAIN] if MAIN in self.student_losses else self.student_losses:
            activation = 'sigmoid' if terms.activations_of(self.student_losses[name]) == {'sigmoid'} else 'softmax'
            of_outputs = dict(from_logits=self.teacher_from_logits, activation=activation)
            parts = [WeightedCrossEntropyLoss(**of_outputs), JaccardMetricLoss(smooth=1.0, **of_outputs)]
            found[name] = WeightedSumLoss(parts, weights=[0.25, 0.75])
        return found

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Outputs for images; for pairs the student's of both, and the weak view that the teacher is to see."""
        if not is_pair(x):
            return self.answering()(x, training=False)
        weak = ops.stop_gradient(seen(self.weak, x[UNLABELLED], training))
        views = [x[LABELLED], seen(self.strong, weak, training)]
        for what, view in ((WEAK, weak), ('strong', views[1])):
            check_size(type(self).__name__, what, view, x[LABELLED])
        dtype = backend.result_type(*(view.dtype for view in views))
        together = ops.concatenate([ops.cast(view, dtype) for view in views])
        outputs = self.student(together, training=training)
        number = ops.shape(x[LABELLED])[0]
        return {
            LABELLED: tree.map_structure(lambda z: z[:number], outputs),
            UNLABELLED: tree.map_structure(lambda z: z[number:], outputs),
            WEAK: weak,
        }

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """The loss of a step, as ``fit`` and ``evaluate`` ask for it; without unlabelled images that of the labels."""
        owner = type(self).__name__
        own = y_pred[LABELLED] if is_pair(x) else y_pred
        loss = self.label_loss(by_name(owner, 'student', own), y, sample_weight, training)
        self.track(x, label_loss=loss)
        others = [ops.sum(ops.cast(other, loss.dtype)) for other in self.losses]
        if is_pair(x):
            outputs = by_name(owner, 'student', y_pred[UNLABELLED])
            consistency = self.consistency_loss(y_pred[WEAK], outputs, training)
            self.track(x, consistency_loss=consistency)
            loss = loss + ops.cast(self.ramp_up(), loss.dtype) * consistency
        return loss + sum(others)

    def consistency_loss(self, weak: Tensor, outputs: Mapping[str, Tensor], training: bool) -> Tensor:
        """How far the student's outputs for unlabelled images are from what the teacher says of their weak view."""
        taught = by_name(type(self).__name__, 'teacher', self.teacher(weak, training=False))
        soft: dict[str, Tensor] = {}
        known = dict(outputs)
        weights: dict[str, Tensor] | None = None if self.confidence_threshold is None else {}
        for name, loss in self.consistency_losses.items():
            owner, z = type(self).__name__, taught[name]
            activation = terms.activation_of(owner, loss, z.shape[-1])
            z = terms.softened(owner, z, self.temperature, self.teacher_from_logits, activation)
            soft[name], known[name] = terms.nan_passed_on(z, outputs[name])
            if weights is not None:
                weights[name] = ops.cast(confidence(soft[name], activation) >= self.confidence_threshold, 'float32')
        return self.loss_by_output(self.consistency_losses, known, soft, weights, training)

    def ramp_up(self) -> Tensor:
        """The weight of the consistency at this step."""
        if self.ramp_up_steps == 0:
            return ops.convert_to_tensor(self.consistency_weight, dtype='float32')
        t = ops.minimum(ops.cast(self.step, 'float32') / self.ramp_up_steps, 1.0)
        return self.consistency_weight * ops.exp(-5.0 * (1 - t) ** 2)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """The metrics of the labelled images; no consistency where there are no others."""
        if is_pair(x):
            return super().compute_metrics(x, y, y_pred[LABELLED], sample_weight)
        found = super().compute_metrics(x, y, y_pred, sample_weight)
        return {name: value for name, value in found.items() if name != self.consistency_tracker.name}

    def train_step(self, *given: Any) -> Any:
        """As Keras'; then the teacher follows the student. Of JAX it takes and gives the variables' values."""
        check_batch(type(self).__name__, given[-1])
        found = super().train_step(*given)
        if backend.backend() != 'jax':
            self.follow()
            return found
        logs, (trainable, fixed, *others) = found
        mapping = [*zip(self.trainable_variables, trainable), *zip(self.non_trainable_variables, fixed)]
        with keras.StatelessScope(state_mapping=mapping) as scope:
            self.follow()
        fixed = [scope.get_current_value(variable) for variable in self.non_trainable_variables]
        return logs, (trainable, fixed, *others)

    def follow(self) -> None:
        """Moves the teacher's weights toward the student's, which has taken one step more."""
        step = self.step + 1
        momentum = ops.minimum(self.momentum, 1 - 1 / (ops.cast(step, 'float32') + 1))
        pairs = [
            (old, new)
            for old, new in zip(self.teacher.weights, self.student.weights)
            if backend.is_float_dtype(backend.standardize_dtype(old.dtype))
        ]
        change_once(pairs, lambda old, new: old + ops.cast(1 - momentum, old.dtype) * (new - old))
        self.step.assign(step)

    def answering(self) -> keras.Model:
        """The model that ``predict`` and ``evaluate`` ask."""
        return self.teacher if self.answers == 'teacher' else self.student

    def plain(self) -> keras.Model:
        """A copy of the model that answers, which trains on where it is loaded."""
        found = copy_of(type(self).__name__, self.student)
        found.set_weights(self.answering().get_weights())
        return found


def copy_of(owner: str, student: keras.Model) -> keras.Model:
    """A model of the same layers and weights; Lambda layers, which have none, are those of the student.

    Keras would make a Lambda from its code, without what this refers to, and refuses to.
    """
    layers = student._flatten_layers() if hasattr(student, 'inputs') else ()
    shared = {}
    if any(isinstance(layer, keras.layers.Lambda) for layer in layers):
        shared = dict(clone_function=layer_or_copy, recursive=True)
    try:
        found = keras.models.clone_model(student, **shared)
    except NotImplementedError as error:
        raise TypeError(f'{owner}: student must be a model that keras.models.clone_model copies: {error}') from None
    if not found.built:
        found.build(student.input_shape)
    found.set_weights(student.get_weights())
    return found


def layer_or_copy(layer: keras.Layer) -> keras.Layer:
    """A Lambda itself, of others a copy."""
    return layer if isinstance(layer, keras.layers.Lambda) else type(layer).from_config(layer.get_config())


def check_from_logits(owner: str, what: str, loss: keras.losses.Loss | None, from_logits: bool) -> None:
    """ValueError for a loss of logits where the student, and so its teacher, gives probabilities, and the other way round."""
    for part in terms.parts_of(loss) if loss is not None else ():
        given = part.get_config().get('from_logits', from_logits)
        if given != from_logits:
            kind = type(part).__name__
            raise ValueError(
                f'{owner}: teacher_from_logits must be {given}, as from_logits of {kind} in {what}, got {from_logits}'
            )


def check_size(owner: str, what: str, view: Tensor, images: Tensor) -> None:
    """ValueError for a view of another size than the images."""
    size, wanted = tuple(view.shape[1:]), tuple(images.shape[1:])
    if not shapes.may_be_equal(size, wanted):
        raise ValueError(
            f'{owner}: {what} must keep the size of images {shapes.as_text(wanted)}, got {shapes.as_text(size)}'
        )


def check_view(owner: str, what: str, view: Any) -> View | None:
    """A function of images, or None."""
    if view is not None and not callable(view):
        raise SpecError(owner=owner, parameter=what, given=view, allowed='a Keras layer or a function of images')
    return view


def seen(view: View | None, images: Tensor, training: bool | None) -> Tensor:
    """The images in a view; random layers draw in training alone."""
    if view is None:
        return images
    return view(images, training=training) if takes_training(view) else view(images)


def takes_training(view: Any) -> bool:
    """Whether a view is a layer that draws in training alone."""
    return isinstance(view, keras.Layer) and view._call_has_training_arg


def check_batch(owner: str, data: Any) -> None:
    """TypeError for a batch without unlabelled images; ValueError where these have another size than the labelled."""
    x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
    if not is_pair(x):
        raise TypeError(
            f'{owner}: fit takes batches of labelled and unlabelled images, which semi_supervised makes, '
            f'got {type(x).__name__}'
        )
    for name in (LABELLED, UNLABELLED):
        if not hasattr(x[name], 'shape'):
            raise TypeError(f'{owner}: {name} images must be one array, got {type(x[name]).__name__}')
    labelled, unlabelled = (tuple(x[name].shape[1:]) for name in (LABELLED, UNLABELLED))
    if not shapes.may_be_equal(labelled, unlabelled):
        raise ValueError(
            f'{owner}: labelled and unlabelled images must have one size, got {shapes.as_text(labelled)} and '
            f'{shapes.as_text(unlabelled)}'
        )


def confidence(prob: Tensor, activation: str) -> Tensor:
    """(N, *space) the largest probability of a class, of one channel that of the likelier side."""
    if prob.shape[-1] == 1 or activation == 'sigmoid':
        prob = ops.maximum(prob, 1 - prob)
        return ops.min(prob, axis=-1)
    return ops.max(prob, axis=-1)
