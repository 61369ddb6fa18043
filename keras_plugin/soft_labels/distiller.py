"""Knowledge distillation with ``fit``: a student that learns from labels and from a teacher."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_plugin.named_outputs import same_for
from keras_plugin.soft_labels import recalibrated
from keras_plugin.soft_labels import teacher_terms as terms
from keras_plugin.soft_labels.around_student import (
    AroundStudent,
    Losses,
    by_name,
    by_output,
    check_model,
    known_output,
    shared_layers,
)
from keras_plugin.typing import Tensor
from shared_spec.checks import Boolean, Integer, Optional, Real
from shared_spec.parameters import check_parameter
from shared_spec.recalibration import DirichletRecalibration


@dataclasses.dataclass(frozen=True)
class Frozen:
    """A model that another uses and does not own: Keras neither trains it nor writes it into files."""

    model: keras.Model


class Distiller(AroundStudent):
    """``Distiller(student, teacher, temperature=4.0)``: ``fit`` trains the student on the labels and on the teacher.

    loss = label_weight * student_loss(labels, student) + teacher_weight * distillation_loss(teacher, student). The
    teacher's outputs (N, *space, C) are logits, or probabilities with ``teacher_from_logits=False``; the student gets
    softmax(z / temperature) of them as soft labels, resized to its own size. Pixels labelled ``ignore_class``, by default
    what the losses ignore, and those that soft labels leave without a class weigh 0 for the teacher too. The teacher is
    frozen: it never trains and is in no file. recalibration: a ``shared_spec.recalibration.DirichletRecalibration``, or a
    dictionary of them by outputs, gives the teacher's probabilities before the temperature. ``predict``, metrics, ``save`` and ``export`` are the student's.

    The logs have 'label_loss' and 'teacher_loss', before their weights, beside 'loss'. SpecError (a ValueError) for
    parameters, TypeError for what is no model, ValueError for teachers of other classes or outputs, and for layers that
    teacher and student share. Source: Hinton et al., arXiv 1503.02531; Wang et al., arXiv 2302.05666.
    """

    def __init__(
        self,
        student: keras.Model,
        teacher: keras.Model,
        temperature: float = 1.0,
        label_weight: float = 0.5,
        teacher_weight: float = 0.5,
        ignore_class: int | None = None,
        *,
        teacher_from_logits: bool = True,
        recalibration: DirichletRecalibration | Mapping[str, DirichletRecalibration] | None = None,
        name: str | None = None,
    ) -> None:
        owner = type(self).__name__
        super().__init__(student, name)
        check_model(owner, 'teacher', teacher)
        for path in shared_layers(teacher, student):
            raise ValueError(f'{owner}: teacher and student must share no variable, both have {path}')
        self.temperature = check_parameter(owner, 'temperature', Real(low=0, above=True), temperature)
        self.label_weight = check_parameter(owner, 'label_weight', Real(low=0), label_weight)
        self.teacher_weight = check_parameter(owner, 'teacher_weight', Real(low=0), teacher_weight)
        self.ignore_class = check_parameter(owner, 'ignore_class', Optional(Integer()), ignore_class)
        self.teacher_from_logits = check_parameter(owner, 'teacher_from_logits', Boolean(), teacher_from_logits)
        output = getattr(student, 'output', None)
        self.recalibrations = recalibrated.by_recalibrated_output(owner, recalibration, output)
        teacher.trainable = False
        self.supports_jit = all(layer.supports_jit for layer in teacher._flatten_layers())
        self.frozen = Frozen(teacher)
        self.teacher_tracker = keras.metrics.Mean(name='teacher_loss')
        self.distillation_losses: Losses = {}
        self.ignored: int | None = None

    @property
    def non_trainable_variables(self) -> list[Any]:
        """Those of the student, and all of the teacher, which a compiled step reads."""
        return [*super().non_trainable_variables, *self.frozen.model.variables]

    def trackers(self) -> list[keras.metrics.Metric]:
        return [*super().trackers(), self.teacher_tracker]

    def compile(
        self,
        optimizer: Any = 'rmsprop',
        *,
        student_loss: Any,
        distillation_loss: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **options: Any,
    ) -> None:
        """As Keras' ``compile``; each loss is one object, or a dictionary of them by the student's outputs.

        ``distillation_loss`` gets the teacher's probabilities for labels. By default it is student_loss with
        DistillationKLLoss at the temperature in place of cross-entropy; losses that take class ids alone are left out.
        Metrics of a dictionary of outputs are of 'logits', or given by names.
        """
        owner = type(self).__name__
        self.prepare(options, student_loss, metrics, weighted_metrics, 'distillation_loss')
        if distillation_loss is None:
            self.distillation_losses = terms.teacher_terms(owner, self.student_losses, self.temperature)
        else:
            self.distillation_losses = by_output(owner, 'distillation_loss', distillation_loss, self.student)
            terms.check_terms(owner, 'distillation_loss', self.distillation_losses, self.temperature)
        self.ignored = self.ignore_class
        if self.ignored is None:
            self.ignored = terms.ignored_by(owner, self.student_losses)
        self.compare(*(known_output(model) for model in (self.frozen.model, self.student)))
        super().compile(optimizer, metrics=metrics, weighted_metrics=weighted_metrics, **options)

    def compare(self, taught: Any, outputs: Any) -> None:
        """Refuses a teacher whose outputs are not the student's, where these are known."""
        if taught is None or outputs is None:
            return
        owner = type(self).__name__
        taught, outputs = by_name(owner, 'teacher', taught), by_name(owner, 'student', outputs)
        for name in self.distillation_losses:
            if name not in taught:
                raise ValueError(f'{owner}: the teacher has no output {name!r}, there are {", ".join(taught)}')
            terms.check_alike(owner, name, taught[name].shape, outputs[name].shape)
            if self.teacher_from_logits:
                terms.check_logits(owner, name, taught[name])

    def call(self, x: Any, training: bool | None = None) -> Any:
        """The student's outputs."""
        return self.student(x, training=training)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """The loss of a step, as ``fit`` and ``evaluate`` ask for it."""
        outputs = by_name(type(self).__name__, 'student', y_pred)
        label_loss = self.label_loss(outputs, y, sample_weight, training)
        teacher_loss = self.teacher_loss(x, outputs, y, sample_weight, training)
        self.track(x, label_loss=label_loss, teacher_loss=teacher_loss)
        loss = self.label_weight * label_loss + self.teacher_weight * teacher_loss
        return loss + sum(ops.sum(ops.cast(other, loss.dtype)) for other in self.losses)

    def teacher_loss(self, x: Any, outputs: Mapping[str, Tensor], y: Any, sample_weight: Any, training: bool) -> Tensor:
        """The student's losses on the teacher's probabilities."""
        owner, losses = type(self).__name__, self.distillation_losses
        taught = self.frozen.model(x, training=False)
        self.compare(taught, outputs)
        taught = by_name(owner, 'teacher', taught)
        y, given = (same_for(losses, x) for x in (y, sample_weight))  # of an output that has no labels all pixels count
        soft, known, weights = {}, dict(outputs), {}
        for name, loss in losses.items():
            activation = terms.activation_of(owner, loss, outputs[name].shape[-1])
            z, from_logits = terms.of_same_size(taught[name], outputs[name]), self.teacher_from_logits
            if name in self.recalibrations:
                recalibration = self.recalibrations[name]
                recalibrated.check_recalibration(owner, recalibration, name, z, activation)
                label = (y.get(name), self.ignored)
                z, from_logits = recalibrated.taught(owner, name, recalibration, z, from_logits, *label), True
            z = terms.softened(owner, z, self.temperature, from_logits, activation)
            soft[name], known[name] = terms.nan_passed_on(z, outputs[name])
            weights[name] = terms.pixel_weights(
                owner, y.get(name), outputs[name], (given or {}).get(name), self.ignored, activation
            )
        return self.loss_by_output(losses, known, soft, weights, training)
