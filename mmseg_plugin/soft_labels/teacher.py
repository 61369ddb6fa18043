"""The teacher of a distillation: a trained model of MMSegmentation that nothing changes and no checkpoint has."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.decode_heads.point_head import PointHead
from mmseg.models.decode_heads.stdc_head import STDCHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_plugin.soft_labels.recalibrated import RecalibratedLogits
from mmseg_plugin.soft_labels.teacher_terms import TeacherLogits
from shared_spec.recalibration import DirichletRecalibration

OWNER = 'DistilledSegmentor'
WRAPPED = 'module.'  # what distributed training writes in front of names


class Teacher:
    """A network in evaluation mode without gradients; no submodule of its student, and shared by the student's copies."""

    def __init__(self, network: Any, owner: str = OWNER) -> None:
        if getattr(network, 'decode_head', None) is None:
            raise TypeError(f'{owner}: teacher must be a segmentor with a decode_head, got {type(network).__name__}')
        self.recalibration: DirichletRecalibration | None = None
        self.network = revert_sync_batchnorm(network).eval().requires_grad_(False)
        self.decode = heads_in(network.decode_head)
        others = heads_in(getattr(network, 'auxiliary_head', None))
        self.auxiliary = [None if isinstance(head, STDCHead) else head for head in others]  # None: of other classes
        for head in (*self.decode, *others):
            if not isinstance(head, BaseDecodeHead) or isinstance(head, PointHead):
                raise TypeError(f'{owner}: the {type(head).__name__} of the teacher gives no logits of each pixel')

    def __deepcopy__(self, memo: dict[int, Any]) -> Teacher:
        return self

    @torch.no_grad()
    def logits(self, inputs: Tensor, auxiliary: int) -> tuple[TeacherLogits, list[TeacherLogits | None]]:
        """Those of the decode head (the last of a cascade), and of as many auxiliary heads, or all that there are."""
        if next(self.network.parameters()).device != inputs.device:
            self.network.to(inputs.device)
        features = self.network.extract_feat(inputs)
        found = first(self.decode[0](features))
        for head in self.decode[1:]:
            found = first(head(features, found))
        of_auxiliary = [head and TeacherLogits(first(head(features)), head) for head in self.auxiliary[:auxiliary]]
        if self.recalibration is not None:
            return RecalibratedLogits(found, self.decode[-1], self.recalibration), of_auxiliary
        return TeacherLogits(found, self.decode[-1]), of_auxiliary


def first(found: Any) -> Tensor:
    """The logits of what a head gives: ``EncHead`` and ``DAHead`` give further ones beside them."""
    return found[0] if isinstance(found, (tuple, list)) else found


def heads_in(heads: Any) -> list[Any]:
    """The heads of an attribute of a segmentor: none, one, or a list of them."""
    return [] if heads is None else list(heads) if isinstance(heads, nn.ModuleList) else [heads]


def build_teacher(config: Mapping[str, Any], checkpoint: object) -> Teacher:
    """The model of a configuration with the weights of a checkpoint. TypeError or ValueError in one sentence."""
    teacher = Teacher(MODELS.build({**config, 'pretrained': None} if 'pretrained' in config else dict(config)))
    load_weights(teacher.network, checkpoint)
    return teacher


def model_config(owner: str, name: str, given: object) -> dict[str, Any]:
    """The configuration of a model: itself, or what a file calls ``model``; of a distilled one, its student."""
    if isinstance(given, (str, os.PathLike)):
        path = path_of(owner, name, os.fspath(given))
        content = Config.fromfile(path)
        if not isinstance(content.get('model'), Mapping):
            raise ValueError(f'{owner}: {name} must be a file with model = dict(...), got {path}')
        given = dict(content.model)
        if content.get('data_preprocessor'):
            given.setdefault('data_preprocessor', content.data_preprocessor)
    if not isinstance(given, Mapping) or 'type' not in given:
        raise TypeError(f'{owner}: {name} must be the configuration of a model, or the path of one, got {given!r}')
    if given['type'] in (OWNER, 'MeanTeacherSegmentor'):
        outer, given = given, model_config(owner, name, given['student'])
        given = {**{key: outer[key] for key in ('data_preprocessor',) if key in outer}, **given}
    return dict(given)


def path_of(owner: str, name: str, path: str) -> str:
    """A configuration's path, also of ``mmseg::`` and ``segparity::``."""
    try:
        found = Config._get_cfg_path(path, path)[0] if '::' in path else os.path.expanduser(path)
    except (ValueError, OSError, ImportError, AssertionError):  # no such package, or no such file of it
        found = ''
    if not os.path.isfile(found):
        raise FileNotFoundError(f'{owner}: {name} must be an existing file, got {path!r}')
    return found


def load_weights(network: nn.Module, checkpoint: object) -> None:
    """Loads a checkpoint, and nothing but tensors and what MMEngine keeps beside them."""
    if not isinstance(checkpoint, (str, os.PathLike)):
        raise TypeError(f'{OWNER}: teacher_checkpoint must be the path of a checkpoint, got {checkpoint!r}')
    path = os.path.expanduser(os.fspath(checkpoint))
    if not os.path.isfile(path):
        hint = '; download it first' if '://' in path else ''
        raise FileNotFoundError(f'{OWNER}: teacher_checkpoint must be an existing file, got {path!r}{hint}')
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise ValueError(
            f'{OWNER}: teacher_checkpoint {path!r} is no checkpoint that can be loaded safely '
            f'({str(error).splitlines()[0]}); python -m mmseg_plugin publish_model makes one of a training checkpoint'
        ) from None
    state = content.get('state_dict', content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(torch.is_tensor(x) for x in state.values()):
        raise ValueError(f'{OWNER}: teacher_checkpoint {path!r} holds no weights')
    state = {name.removeprefix(WRAPPED): x for name, x in state.items()}
    faults = '; '.join(faults_of(network.state_dict(), state))
    if faults:
        raise ValueError(f'{OWNER}: teacher_checkpoint {path!r} is that of another model: {faults}')
    network.load_state_dict(state, strict=False)


def faults_of(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Iterator[str]:
    """How a checkpoint differs from a model, but in what losses learn, which has no part in predictions."""
    missing, unexpected = ([n for n in a if n not in b and '.loss_' not in n] for a, b in ((own, state), (state, own)))
    for what, names in (('it lacks', missing), ('it has', unexpected)):
        if names:
            yield f'{what} {", ".join(names[:3])}' + (f' and {len(names) - 3} more' if len(names) > 3 else '')
    for name, x in own.items():
        if name in state and x.shape != state[name].shape:
            yield f'{name} is {tuple(state[name].shape)} in place of {tuple(x.shape)}'
            return
