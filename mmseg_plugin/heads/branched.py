"""``dict(type='BranchedHead', head_type='FCNHead', branches=[...])``: a decode head with branches for losses of their own.

Such losses look at more than logits: at the head's features, or at what a branch predicts from them. The head is the one
that ``head_type`` names, with all of its arguments, parameters and losses; the branches are trained beside it and have no
part in predictions.
"""

import contextlib
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_plugin.heads.branches import Branch, Seen
from shared_spec.checks import nearest
from shared_spec.parameters import accepted, unknown_parameter


def branched_head(head_type: str | None = None, branches: Sequence[Mapping[str, Any]] = (), **head: Any) -> nn.Module:
    """The head of that type, built from the other arguments, with branches.

    branches: configurations of ``Branch``, such as ``dict(type='EmbeddingBranch', loss=dict(type='PixelContrastLoss'))``.
    ValueError or TypeError, in one sentence, for branches that this head cannot have.
    """
    if head_type is None:
        raise ValueError("BranchedHead: head_type must name the head, as in head_type='FCNHead'")
    built: Any = MODELS.build(dict(type=head_type, **head))
    if hasattr(built, 'branches') or not hasattr(built, 'loss'):
        raise TypeError(f'BranchedHead: {head_type} cannot have branches')
    if not isinstance(branches, Sequence) or not branches or not all(isinstance(one, Mapping) for one in branches):
        raise TypeError(f'BranchedHead: branches must be a list of configurations, got {branches!r}')
    made = [build_branch(built, dict(config)) for config in branches]
    names = [branch.name for branch in made]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'BranchedHead: two branches are named {name!r}, give one of them another name')
    built.branches = nn.ModuleList(made)
    built.loss_without_branches = built.loss
    built.loss = types.MethodType(loss_with_branches, built)
    return built


def build_branch(head: Any, config: dict[str, Any]) -> Branch:
    """A branch that fits a head."""
    cls = MODELS.get(config.get('type') or '')
    if not (isinstance(cls, type) and issubclass(cls, Branch)):
        known = [name for name, one in MODELS.module_dict.items() if isinstance(one, type) and issubclass(one, Branch)]
        meant = nearest(config.get('type'), known)
        hint = f', did you mean {meant!r}?' if meant else ''
        raise TypeError(f'BranchedHead: branches must be branches, got {config.get("type")!r}{hint}')
    known, _, _ = accepted(cls)
    for name in config:
        if name not in ('type', *known):
            raise unknown_parameter(cls.__name__, name, known)
    if 'loss' not in config:
        raise ValueError(f'{cls.__name__}: loss must be given, the configuration of a loss or a list of several')
    for name in ('channels', 'in_channels'):
        if name in config and (type(config[name]) is not int or config[name] < 1):
            raise ValueError(f'{cls.__name__}: {name} must be an integer >= 1, got {config[name]!r}')
    features = config.get('features', 'classifier')
    channels = config.get('in_channels') or channels_of(head, features)
    built: Branch = MODELS.build(config, default_args=dict(in_channels=channels, num_classes=head.num_classes))
    return built


def channels_of(head: Any, features: Any) -> int:
    """How many channels the features have that a branch asks for."""
    if features == 'classifier':
        if not hasattr(head, 'conv_seg'):
            raise ValueError(
                f"BranchedHead: {type(head).__name__} has no classifier conv_seg, take features='inputs' or the number of "
                'a stage of the backbone'
            )
        return int(head.conv_seg.in_channels)
    if features == 'inputs' and isinstance(head.in_channels, int):
        return head.in_channels
    indices = head.in_index if isinstance(head.in_index, Sequence) else [head.in_index]
    if isinstance(features, int) and features in indices and head.input_transform != 'resize_concat':
        every = head.in_channels if isinstance(head.in_channels, Sequence) else [head.in_channels]
        return int(every[list(indices).index(features)])
    if features == 'inputs' or isinstance(features, int):
        raise ValueError(f'BranchedHead: in_channels of a branch with features={features!r} must be given')
    raise ValueError(
        f"BranchedHead: features must be 'classifier', 'inputs' or the number of a stage, got {features!r}"
    )


def loss_with_branches(head: Any, inputs: Any, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
    """``loss`` of a head: its own losses, and ``<branch>.<loss name>`` of each branch."""
    samples = next(x for x in (*args, *kwargs.values()) if isinstance(x, list) and x and hasattr(x[0], 'gt_sem_seg'))
    with watching(head) as seen:
        losses = head.loss_without_branches(inputs, *args, **kwargs)
    label = head._stack_batch_gt(samples)
    label = label if label.shape[1] > 1 else label.squeeze(1)
    for branch in head.branches:
        features = features_of(head, branch.features, inputs, seen)
        if features.shape[1] != branch.in_channels:
            raise ValueError(
                f'BranchedHead: the features of branch {branch.name!r} have {features.shape[1]} channels, got '
                f'in_channels={branch.in_channels}'
            )
        classifier = getattr(head, 'conv_seg', None)
        given = Seen(features, seen.get('logits'), label, head.ignore_index, bool(head.align_corners), classifier)
        for name, value in branch.losses_of(given).items():
            losses[f'{branch.name}.{name}'] = value
    return losses


@contextlib.contextmanager
def watching(head: Any) -> Iterator[dict[str, Tensor]]:
    """In which the last 'features' that the classifier is given, before any dropout, and its 'logits' are kept."""
    seen: dict[str, Tensor] = {}
    classifier = getattr(head, 'conv_seg', None)
    if classifier is None:
        yield seen
        return
    first = getattr(head, 'dropout', None) or classifier

    def keep_features(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen['features'] = given[0]

    def keep_logits(module: nn.Module, given: tuple[Tensor, ...], found: Tensor) -> None:
        seen['logits'] = found

    handles = [first.register_forward_pre_hook(keep_features), classifier.register_forward_hook(keep_logits)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def features_of(head: Any, features: str | int, inputs: Any, seen: Mapping[str, Tensor]) -> Tensor:
    """(N, D, h, w) what a branch asks for."""
    if features == 'classifier':
        if 'features' not in seen:
            raise ValueError(
                f"BranchedHead: {type(head).__name__} does not call its classifier conv_seg, take features='inputs' or the "
                'number of a stage of the backbone'
            )
        return seen['features']
    if features == 'inputs':
        found: Tensor = head._transform_inputs(inputs)
        return found
    if not -len(inputs) <= int(features) < len(inputs):
        raise ValueError(f'BranchedHead: features={features} is none of the {len(inputs)} stages of the backbone')
    return inputs[features]


MODELS.register_module(name='BranchedHead', module=branched_head)
