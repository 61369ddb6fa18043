"""``dict(type='DistilledSegmentor', student=..., teacher=..., teacher_checkpoint=...)``: a model that learns from another.

What is built is the student itself, whose ``loss`` has further terms: it trains, is saved, resumed and tested as without
a teacher, and its checkpoints load into its own configuration.
"""

from __future__ import annotations

import contextlib
import functools
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mmengine.logging import print_log
from mmseg.registry import MODELS
from torch import Tensor, nn

from shared_spec.checks import Real
from shared_spec.parameters import check_parameter, name_parameters

OWNER = 'DistilledSegmentor'


@name_parameters(OWNER)
def distilled_segmentor(
    student: Mapping[str, Any] | str,
    teacher: Mapping[str, Any] | str,
    teacher_checkpoint: str,
    temperature: float = 1.0,
    label_weight: float = 0.5,
    teacher_weight: float = 0.5,
    losses: Any = None,
    auxiliary_losses: Any = None,
    recalibration: Mapping[str, Any] | None = None,
    data_preprocessor: Mapping[str, Any] | None = None,
) -> nn.Module:
    """The student, which learns from labels and from a frozen teacher (Hinton et al., arXiv 1503.02531; JDTLosses).

    student, teacher: configurations of models, or files with ``model = dict(...)``; of as many classes. Every head has
    ``label_weight`` times its losses and ``teacher_weight`` times terms named 'teacher.<loss name>': a
    ``WeightedCrossEntropyLoss`` becomes a ``DistillationKLLoss`` at the temperature, every other loss takes the teacher's
    probabilities at the temperature as soft labels, one of class ids alone has no term. losses, auxiliary_losses: other
    terms of the decode and the auxiliary heads. Ignored pixels count nowhere. recalibration: dict(keys='keys.npz',
    bandwidth=0.05, pixels='all') gives the teacher's probabilities by ``DirichletRecalibration``, of keys that
    ``python -m mmseg_plugin recalibration_keys`` wrote, before the temperature. data_preprocessor: the student's, where its
    configuration has none. ValueError, TypeError or FileNotFoundError in one sentence for what cannot be.
    """
    from mmseg_plugin.soft_labels.recalibrated import build_recalibration, check_softmax
    from mmseg_plugin.soft_labels.teacher import build_teacher, heads_in, model_config
    from mmseg_plugin.soft_labels.teacher_terms import TeacherTerms

    above, at_least = Real(low=0, above=True), Real(low=0)
    temperature = check_parameter(OWNER, 'temperature', above, temperature)
    label_weight = check_parameter(OWNER, 'label_weight', at_least, label_weight)
    teacher_weight = check_parameter(OWNER, 'teacher_weight', above, teacher_weight)
    built = build_student(OWNER, student, data_preprocessor)
    of_teacher = model_config(OWNER, 'teacher', teacher)
    built.teacher = build_teacher(of_teacher, teacher_checkpoint)
    check_channels(built, built.teacher)
    if recalibration is not None:
        classes = heads_in(built.decode_head)[-1].out_channels
        built.teacher.recalibration = build_recalibration(OWNER, recalibration, classes)
    if of_teacher.get('data_preprocessor') is not None:
        check_normalization(built.data_preprocessor, built.teacher.network.data_preprocessor)
    make = functools.partial(TeacherTerms, temperature=temperature, weight=teacher_weight)
    give_terms(OWNER, built, make, temperature, losses, auxiliary_losses)
    if recalibration is not None:
        check_softmax(OWNER, built)
    built.label_weight = label_weight
    built.loss_without_teacher = built.loss
    built.loss = types.MethodType(loss_with_teacher, built)
    return built


def build_student(owner: str, student: Mapping[str, Any] | str, data_preprocessor: Mapping[str, Any] | None) -> Any:
    """The segmentor of a configuration, with that preprocessor where it has none. TypeError where it has no decode head."""
    from mmseg_plugin.soft_labels.teacher import model_config

    config = model_config(owner, 'student', student)
    if data_preprocessor is not None and config.get('data_preprocessor') is None:
        config['data_preprocessor'] = data_preprocessor
    built: Any = MODELS.build(config)
    if not hasattr(built, 'decode_head') or hasattr(built, 'loss_without_teacher'):
        raise TypeError(f'{owner}: student must be a segmentor with a decode_head, got {type(built).__name__}')
    return built


def loss_with_teacher(student: Any, inputs: Tensor, data_samples: list[Any]) -> dict[str, Tensor]:
    """``loss`` of a segmentor: ``label_weight`` times its own losses, and the terms that its heads have of the teacher."""
    with seeing(student, student.teacher, inputs):
        found = student.loss_without_teacher(inputs, data_samples)
    mine = {name for name in found if 'loss' in name and '.teacher.' not in name}
    return {name: times(student.label_weight, x) if name in mine else x for name, x in found.items()}


@contextlib.contextmanager
def seeing(student: Any, teacher: Any, inputs: Tensor) -> Iterator[None]:
    """In which the student's heads see what the teacher's say of the inputs: auxiliary ones their own, or its decode head's."""
    from mmseg_plugin.soft_labels.teacher import heads_in

    decode, auxiliary = teacher.logits(inputs, len(heads_in(getattr(student, 'auxiliary_head', None))))
    learning = [(head, part) for part, head in learning_heads(student)]
    try:
        for head, part in learning:
            own = auxiliary[part] if part is not None and part < len(auxiliary) else None
            head.teacher_terms.seen = own or decode
        yield
    finally:
        for head, _ in learning:
            head.teacher_terms.seen = None


def times(factor: float, value: Any) -> Any:
    """A loss as heads return them, a tensor or a list of tensors, times a factor."""
    return [factor * x for x in value] if isinstance(value, list) else factor * value


def learning_heads(student: Any) -> list[tuple[int | None, Any]]:
    """(None or the number of the auxiliary head, head) of each head that has terms of a teacher."""
    from mmseg_plugin.soft_labels.teacher import heads_in

    rooms = [(None, student.decode_head), *enumerate(heads_in(getattr(student, 'auxiliary_head', None)))]
    return [(part, head) for part, room in rooms for head in room.modules() if getattr(head, 'teacher_terms', None)]


def give_terms(
    owner: str, student: Any, make: Callable[[list[Any]], Any], temperature: float, losses: Any, auxiliary_losses: Any
) -> None:
    """Every head of the student gets its terms; the log has what has none, once."""
    from mmseg.models.decode_heads.stdc_head import STDCHead

    from mmseg_plugin.heads.labels import losses_of
    from mmseg_plugin.soft_labels.heads import heads_of, reach_heads
    from mmseg_plugin.soft_labels.teacher_terms import terms_like, terms_of

    own = set(student.decode_head.modules())
    given = {True: ('losses', losses), False: ('auxiliary_losses', auxiliary_losses)}
    some, heads = False, list(heads_of(student, owner))
    if auxiliary_losses is not None and all(head in own for _, head in heads):
        raise ValueError(f'{owner}: auxiliary_losses are for auxiliary heads, and the student has none')
    for told, head in heads:
        if isinstance(head, STDCHead):
            print_log(f'{owner}: {told} keeps to its own labels and learns nothing from the teacher', logger='current')
            continue
        name, configs = given[head in own]
        if configs is None:
            found = list(terms_like(losses_of(head), temperature))
            for kind in (one for one in found if isinstance(one, str)):
                print_log(f'{owner}: {told} has {kind}, which learns nothing from the teacher', logger='current')
            terms = [one for one in found if not isinstance(one, str)]
        else:
            terms = terms_of(name, configs, temperature, owner)
        head.teacher_terms = make(terms)
        some = some or bool(terms)
    if not some:
        raise ValueError(
            f"{owner}: no loss of the student learns from the teacher, give losses=[dict(type='DistillationKLLoss')]"
        )
    reach_heads()


def check_channels(student: Any, teacher: Any) -> None:
    """ValueError where a head of the teacher has other classes than the student."""
    from mmseg_plugin.soft_labels.teacher import heads_in

    own = heads_in(student.decode_head)[-1].out_channels
    for head in (teacher.decode[-1], *filter(None, teacher.auxiliary)):
        if head.out_channels != own:
            raise ValueError(
                f'{OWNER}: the teacher must have the {own} classes of the student, its {type(head).__name__} has '
                f'{head.out_channels} (out_channels)'
            )


def check_normalization(student: Any, teacher: Any) -> None:
    """ValueError where the preprocessor of the teacher would make other inputs of an image; both get the student's."""
    for name in ('mean', 'std'):
        found = [getattr(preprocessor, name, None) for preprocessor in (student, teacher)]
        own, other = ([] if x is None else [round(v, 4) for v in x.flatten().tolist()] for x in found)
        if own != other:
            raise ValueError(
                f'{OWNER}: both models get the inputs of the student, whose data_preprocessor has {name} {own or None}, '
                f"and the teacher's has {other or None}"
            )
    if getattr(student, 'channel_conversion', False) != getattr(teacher, 'channel_conversion', False):
        raise ValueError(
            f'{OWNER}: both models get the inputs of the student, and one data_preprocessor has bgr_to_rgb or rgb_to_bgr, '
            'the other not'
        )


MODELS.register_module(name=OWNER, module=distilled_segmentor)
