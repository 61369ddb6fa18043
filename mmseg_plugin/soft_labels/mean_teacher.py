"""``dict(type='MeanTeacherSegmentor', student=...)``: a model that learns from labelled and from unlabelled images.

Its teacher is the moving average of its own weights, which ``MeanTeacherHook`` keeps. What is built is the student itself,
whose ``loss`` has further terms: on images without labels its logits of a strong view are to be what the teacher says of the
weak one, that of the pipeline. Checkpoints hold the teacher's weights under the student's names.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.hooks import EMAHook
from mmengine.model import BaseTTAModel
from mmengine.registry import HOOKS
from mmseg.registry import MODELS
from torch import Tensor, nn

from shared_spec.checks import Boolean, Integer, Optional, Real
from shared_spec.parameters import SpecError, accepted, check_parameter, name_parameters, unknown_parameter

OWNER = 'MeanTeacherSegmentor'


@dataclasses.dataclass(frozen=True)
class StrongView:
    """Photometric changes of normalised images (N, C, H, W), drawn for each image; 0 turns one off.

    brightness: at most so much is added, in standard deviations; contrast: the distance from the mean of each channel is
    scaled by a factor in 1 +- contrast; noise: largest standard deviation of normal noise.
    """

    brightness: float = 0.5
    contrast: float = 0.5
    noise: float = 0.2

    def __post_init__(self) -> None:
        for field, allowed in dict(brightness=Real(low=0), contrast=Real(low=0, high=1), noise=Real(low=0)).items():
            value = check_parameter(OWNER, f'strong[{field!r}]', allowed, getattr(self, field))
            object.__setattr__(self, field, value)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """(N, C, H, W) the view; the same for the same state of the generator, which is of the images' device."""
        add, scale, spread = images.new_empty(3, len(images), 1, 1, 1).uniform_(generator=generator)
        mean = images.mean((2, 3), keepdim=True)
        found = mean + (images - mean) * (1 + self.contrast * (2 * scale - 1)) + self.brightness * (2 * add - 1)
        return found + self.noise * spread * torch.empty_like(images).normal_(generator=generator)


class Consistency:
    """What a student knows of its teacher: where it is, how much its terms weigh at a step, and of which images."""

    def __init__(self, weight: float, ramp_up: int, labelled_too: bool, strong: StrongView, seed: int) -> None:
        self.weight, self.ramp_up, self.labelled_too = weight, ramp_up, labelled_too
        self.strong, self.seed = strong, seed
        self.teacher: Any = None
        self.step = 0

    def weight_now(self) -> float:
        """The weight after the ramp exp(-5 (1 - t)^2), t the share of ``ramp_up`` steps that is over."""
        share = min(self.step / self.ramp_up, 1.0) if self.ramp_up else 1.0
        return self.weight * math.exp(-5 * (1 - share) ** 2)

    def view_of(self, images: Tensor, chosen: Tensor) -> Tensor:
        """(N, C, H, W) the strong view of the chosen images (N,), the others as they are; the same at the same step."""
        generator = torch.Generator(images.device).manual_seed(hash((self.seed, self.step, get_rank())) % 2**63)
        return self.strong(images, generator).where(chosen[:, None, None, None], images)


@name_parameters(OWNER)
def mean_teacher_segmentor(
    student: Mapping[str, Any] | str,
    consistency_weight: float = 1.0,
    ramp_up: int = 1000,
    temperature: float = 1.0,
    confidence_threshold: float | None = None,
    labelled_too: bool = False,
    strong: Mapping[str, float] | None = None,
    losses: Any = None,
    auxiliary_losses: Any = None,
    seed: int = 0,
    data_preprocessor: Mapping[str, Any] | None = None,
) -> nn.Module:
    """The student, which learns from labels and from the average of its weights (Tarvainen & Valpola, arXiv 1703.01780).

    student: the configuration of a model, or a file with ``model = dict(...)``. An image of which every pixel is ignored is
    an unlabelled one. Each head has its own losses on the labels and, on unlabelled images (labelled_too: on all), terms
    named 'teacher.<loss name>' with the teacher's probabilities as soft labels, as those of ``DistilledSegmentor``:
    ``consistency_weight`` times exp(-5 (1 - t)^2) during the first ``ramp_up`` iterations (Laine & Aila, arXiv 1610.02242).
    confidence_threshold: pixels count where the teacher's largest probability is at least that. strong: dict(brightness=,
    contrast=, noise=) of the student's view of these images. Needs ``custom_hooks=[dict(type='MeanTeacherHook')]``.
    ValueError or TypeError in one sentence for what cannot be.
    """
    from mmseg_plugin.soft_labels.consistency import ConsistencyTerms
    from mmseg_plugin.soft_labels.distillation import build_student, give_terms

    weight = check_parameter(OWNER, 'consistency_weight', Real(low=0, above=True), consistency_weight)
    steps = check_parameter(OWNER, 'ramp_up', Integer(low=0), ramp_up)
    temperature = check_parameter(OWNER, 'temperature', Real(low=0, above=True), temperature)
    threshold = check_parameter(OWNER, 'confidence_threshold', Optional(Real(low=0, high=1)), confidence_threshold)
    every = check_parameter(OWNER, 'labelled_too', Boolean(), labelled_too)
    seed = check_parameter(OWNER, 'seed', Integer(low=0), seed)
    if not isinstance(strong or {}, Mapping):
        raise TypeError(f'{OWNER}: strong must be dict(brightness=, contrast=, noise=), got {strong!r}')
    known = [field.name for field in dataclasses.fields(StrongView)]
    for name in strong or {}:
        if name not in known:
            raise unknown_parameter(f'{OWNER}: strong', name, known)
    built = build_student(OWNER, student, data_preprocessor)
    make = functools.partial(ConsistencyTerms, temperature=temperature, threshold=threshold)
    give_terms(OWNER, built, make, temperature, losses, auxiliary_losses)
    built.consistency = Consistency(weight, steps, every, StrongView(**(strong or {})), seed)
    built.loss_without_teacher = built.loss
    built.loss = types.MethodType(loss_with_consistency, built)
    return built


def loss_with_consistency(student: Any, inputs: Tensor, data_samples: list[Any]) -> dict[str, Tensor]:
    """``loss`` of a segmentor: its own losses, the terms that its heads have of the teacher, and how much these weigh."""
    from mmseg_plugin.heads.labels import check_labelled
    from mmseg_plugin.soft_labels.distillation import learning_heads, seeing
    from mmseg_plugin.soft_labels.teacher import heads_in

    about: Consistency = student.consistency
    if about.teacher is None:
        raise RuntimeError(f"{OWNER}: needs custom_hooks=[dict(type='MeanTeacherHook')], which keeps the teacher")
    check_labelled(OWNER, data_samples)
    labels = torch.stack([sample.gt_sem_seg.data[0] for sample in data_samples]).to(inputs.device)
    chosen = (labels == heads_in(student.decode_head)[-1].ignore_index).flatten(1).all(1) | about.labelled_too
    counts, weight = inside(labels, data_samples) & chosen[:, None, None], about.weight_now()
    for _, head in learning_heads(student):
        head.teacher_terms.give(counts, weight)
    with seeing(student, about.teacher, inputs):
        found: dict[str, Tensor] = student.loss_without_teacher(about.view_of(inputs, chosen), data_samples)
    return {**found, 'consistency_weight': inputs.new_tensor(weight)}


def inside(labels: Tensor, samples: list[Any]) -> Tensor:
    """(N, H, W) False where MMSegmentation has padded a sample."""
    found = torch.ones_like(labels, dtype=torch.bool)
    for one, sample in zip(found, samples):
        left, right, above, below = map(int, sample.metainfo.get('padding_size', [0] * 4))
        height, width = one.shape
        one[:above] = one[height - below :] = False
        one[:, :left] = one[:, width - right :] = False
    return found


@HOOKS.register_module()
class MeanTeacherHook(EMAHook):
    """Keeps the teacher of a ``MeanTeacherSegmentor``: the moving average of its weights, with its batch statistics.

    momentum: the share of the student's weights in a step, 1 / (steps + 1) in the first steps. The teacher is what is
    validated and tested, and what checkpoints hold as ``state_dict``, beside the student's weights to resume from. Further
    parameters are those of ``EMAHook`` and of its average. ValueError for a parameter of neither, for a second ``EMAHook``,
    for batches other than the sampler's; TypeError for another model.
    """

    def __init__(self, momentum: float = 0.001, **kwargs: Any) -> None:
        momentum = check_parameter('MeanTeacherHook', 'momentum', Real(low=0, high=0.5, above=True), momentum)
        average = MODELS.get(kwargs.setdefault('ema_type', 'MomentumAnnealingEMA'))
        of_average = accepted(average)[0] if average is not None else []
        if 'momentum' not in of_average:
            rule = f"must be an average with a momentum, such as 'ExponentialMovingAverage', got {kwargs['ema_type']!r}"
            raise SpecError(rule, owner='MeanTeacherHook', parameter='ema_type', given=kwargs['ema_type'])
        known = [name for name in [*accepted(MeanTeacherHook)[0], *of_average] if name != 'model']
        for name in kwargs:
            if name not in known:
                raise unknown_parameter('MeanTeacherHook', name, known)
        check_parameter('MeanTeacherHook', 'interval', Integer(low=1), kwargs.get('interval', 1))
        if 'gamma' in of_average:
            kwargs.setdefault('gamma', 1)
        super().__init__(momentum=momentum, **kwargs)

    def before_run(self, runner: Any) -> None:
        from mmseg_plugin.soft_labels.teacher import Teacher

        super().before_run(runner)
        model, average = (
            one.module if isinstance(one, BaseTTAModel) else one for one in (self.src_model, self.ema_model.module)
        )
        about = getattr(model, 'consistency', None)
        if not isinstance(about, Consistency):
            raise TypeError(f'MeanTeacherHook: needs a {OWNER}, got {type(model).__name__}')
        about.teacher = Teacher(average, OWNER)

    def before_train(self, runner: Any) -> None:
        """The teacher starts as the student, whose weights were initialised or loaded after ``before_run``."""
        from mmseg_plugin.soft_labels.unlabelled import check_loader

        super().before_train(runner)
        others = [type(hook).__name__ for hook in runner.hooks if isinstance(hook, EMAHook) and hook is not self]
        if others:
            raise ValueError(
                f'custom_hooks: MeanTeacherHook is an EMAHook, and {others[0]} a second one, keep one of them'
            )
        check_loader(runner)
        if self.ema_model.steps == 0:
            self.ema_model.module.load_state_dict(self.src_model.state_dict())

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self.src_model.consistency.step = runner.iter


MODELS.register_module(name=OWNER, module=mean_teacher_segmentor)
