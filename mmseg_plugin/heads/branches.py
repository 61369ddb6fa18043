"""The branches of ``BranchedHead``: what each makes of a head's features, and hands to its losses."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional

from mmseg_plugin.boundaries import between_classes
from mmseg_plugin.losses.base import Loss

LossConfig = Mapping[str, Any] | Sequence[Mapping[str, Any]]
START = dict(type='Normal', layer='Conv2d', std=0.01)  # of weights, as a decode head's classifier has them


class Seen(NamedTuple):
    """What a step has for a branch: features (N, D, h, w), logits (N, C, h, w) or None, label (N, H, W) or soft maps."""

    features: Tensor
    logits: Tensor | None
    label: Tensor
    ignore_index: int | None
    align_corners: bool
    classifier: nn.Conv2d | None


class Branch(BaseModule):
    """A branch: ``loss`` one configuration or several, of losses that take what ``takes`` names.

    features: 'classifier', what the head's classifier is given; 'inputs', what the head is; or the number of a stage of
    the backbone, with ``in_channels`` where the head does not know it. name: what its losses are logged under.
    """

    kind: ClassVar[str] = ''
    takes: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        loss: LossConfig,
        in_channels: int,
        num_classes: int,
        features: str | int = 'classifier',
        name: str | None = None,
        init_cfg: Any = START,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels, self.num_classes, self.features = in_channels, num_classes, features
        self.name = self.kind if name is None else name
        configs = [loss] if isinstance(loss, Mapping) else list(loss)
        if not configs or not self.name:
            raise ValueError(
                f'{type(self).__name__}: {"name must not be empty" if configs else "loss must name a loss, got []"}'
            )
        self.loss_branch = nn.ModuleList([MODELS.build(dict(config)) for config in configs])
        for one in self.own_losses:
            self.check_loss(one)

    @property
    def own_losses(self) -> list[Any]:
        return list(self.loss_branch)

    def check_loss(self, loss: Any) -> None:
        """TypeError for a loss that has no use for what this branch makes."""
        taken = getattr(getattr(loss, 'spec', None), 'extras_taken', ())
        if not isinstance(loss, Loss) or not set(self.takes) <= set(taken):
            needed = ' and '.join(self.takes)
            raise TypeError(
                f'{type(self).__name__}: loss must be a loss that takes {needed}, got {type(loss).__name__}'
            )

    def losses_of(self, seen: Seen) -> dict[str, Tensor]:
        """loss name -> loss."""
        found: dict[str, Tensor] = {}
        for loss, value in self.values(seen):
            found[loss.loss_name] = found[loss.loss_name] + value if loss.loss_name in found else value
        return found

    def values(self, seen: Seen) -> list[tuple[Any, Tensor]]:
        """Each loss with its value."""
        raise NotImplementedError(type(self).__name__)

    def of_logits(self, seen: Seen, **extras: Any) -> list[tuple[Any, Tensor]]:
        """Losses of the head's logits and of extras."""
        if seen.logits is None:
            raise ValueError(
                f'{type(self).__name__}: the head has no classifier conv_seg whose logits a loss could take'
            )
        call = dict(ignore_index=seen.ignore_index, align_corners=seen.align_corners, **extras)
        return [(loss, loss(seen.logits, seen.label, **call)) for loss in self.own_losses]


@MODELS.register_module()
class EmbeddingBranch(Branch):
    """For losses of embeddings (``PixelContrastLoss``, ``PixelTripletLoss``): two 1x1 convolutions, of length 1 in each pixel.

    channels: the numbers in an embedding; normalize: whether they are divided by their length.
    """

    kind, takes = 'embedding', ('embedding',)

    def __init__(self, channels: int = 256, normalize: bool = True, **branch: Any) -> None:
        super().__init__(**branch)
        self.normalize = normalize
        self.project = nn.Sequential(
            nn.Conv2d(self.in_channels, self.in_channels, 1), nn.ReLU(), nn.Conv2d(self.in_channels, channels, 1)
        )

    def check_loss(self, loss: Any) -> None:
        super().check_loss(loss)
        if set(loss.spec.needs) - set(self.takes):
            raise TypeError(
                f'EmbeddingBranch: {type(loss).__name__} needs more than an embedding, see ClassifierBranch'
            )

    def values(self, seen: Seen) -> list[tuple[Any, Tensor]]:
        found = self.project(seen.features)
        return self.of_logits(seen, embedding=functional.normalize(found, dim=1) if self.normalize else found)


@MODELS.register_module()
class ClassifierBranch(Branch):
    """For losses of features and of the head's own classifier (``ConditionalBoundaryLoss``); no parameters of its own."""

    kind, takes = 'classifier', ('embedding', 'classifier')

    def __init__(self, **branch: Any) -> None:
        super().__init__(**branch)
        if self.features != 'classifier':
            raise ValueError(f"ClassifierBranch: features must be 'classifier', got {self.features!r}")

    def values(self, seen: Seen) -> list[tuple[Any, Tensor]]:
        assert seen.classifier is not None  # noqa: S101  channels_of has refused a head without one
        weight, bias = seen.classifier.weight.flatten(1), seen.classifier.bias
        bias = weight.new_zeros(len(weight)) if bias is None else bias
        return self.of_logits(seen, embedding=seen.features, classifier=(weight, bias))


class PredictingBranch(Branch):
    """A branch whose output is what its losses take as a prediction."""

    def check_loss(self, loss: Any) -> None:
        if not isinstance(loss, Loss) or not self.is_meant(loss):
            raise TypeError(f'{type(self).__name__}: loss must be {self.meant}, got {type(loss).__name__}')

    meant: ClassVar[str] = ''

    def is_meant(self, loss: Loss) -> bool:
        """Whether a loss has a meaning for the output."""
        raise NotImplementedError(type(self).__name__)


@MODELS.register_module()
class PresenceBranch(PredictingBranch):
    """For ``SemanticEncodingLoss``: one logit for each class from the mean of the features over the image."""

    kind, meant = 'presence', 'SemanticEncodingLoss'

    def __init__(self, **branch: Any) -> None:
        super().__init__(**branch)
        self.classify = nn.Conv2d(self.in_channels, self.num_classes, 1)

    def is_meant(self, loss: Loss) -> bool:
        return type(loss).__name__ == 'SemanticEncodingLoss'

    def values(self, seen: Seen) -> list[tuple[Any, Tensor]]:
        pred = self.classify(seen.features.mean((2, 3), keepdim=True))
        return [(loss, loss(pred, seen.label, ignore_index=seen.ignore_index)) for loss in self.own_losses]


@MODELS.register_module()
class EdgeBranch(PredictingBranch):
    """For ``InverseFormLoss`` and losses of one channel beside it: one logit in each pixel, whether classes meet there.

    channels: of the convolution between. The labels of all of its losses are maps of boundaries.
    """

    kind, meant = 'edge', 'InverseFormLoss or a loss of one channel and soft labels'

    def __init__(self, channels: int = 64, **branch: Any) -> None:
        super().__init__(**branch)
        self.draw = nn.Sequential(
            nn.Conv2d(self.in_channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, 1, 1)
        )

    def is_meant(self, loss: Loss) -> bool:
        spec = loss.spec
        of_edges = type(loss).__name__ == 'InverseFormLoss' or not spec.of_branch
        return of_edges and not spec.needs and 'one' in spec.channels and 'soft' in spec.labels

    def values(self, seen: Seen) -> list[tuple[Any, Tensor]]:
        if seen.label.dim() != 3:
            raise ValueError(f'EdgeBranch: labels must be class ids (N, H, W), got {tuple(seen.label.shape)}')
        logits, counts = self.draw(seen.features), None
        if seen.ignore_index is not None:
            counts = seen.label != seen.ignore_index
        edges = between_classes(seen.label, counts).to(logits.dtype)[:, None]
        weight = None if counts is None else counts.to(logits.dtype)
        call = dict(weight=weight, align_corners=seen.align_corners)
        return [(loss, loss(logits, edges, **call)) for loss in self.own_losses]


@MODELS.register_module()
class DistanceBranch(PredictingBranch):
    """For ``BoundaryAwareLoss``: logits of the bins of each object class's distance from its boundary.

    Object classes are those that the loss lists, else all but the first, the background.
    """

    kind, meant = 'distance', 'one BoundaryAwareLoss'

    def __init__(self, **branch: Any) -> None:
        super().__init__(**branch)
        if len(self.own_losses) != 1:
            raise TypeError(f'DistanceBranch: loss must be {self.meant}, got {len(self.own_losses)} losses')
        spec = self.own_losses[0].spec
        objects = self.num_classes - 1 if spec.classes is None else len(spec.classes)
        self.measure = nn.Conv2d(self.in_channels, objects * spec.num_bins, 1)

    def is_meant(self, loss: Loss) -> bool:
        return type(loss).__name__ == 'BoundaryAwareLoss'

    def values(self, seen: Seen) -> list[tuple[Any, Tensor]]:
        logits = self.measure(seen.features)
        call = dict(ignore_index=seen.ignore_index, align_corners=seen.align_corners)
        return [(loss, loss(logits, seen.label, **call)) for loss in self.own_losses]
