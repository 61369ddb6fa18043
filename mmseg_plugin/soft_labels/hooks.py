"""``custom_hooks=[dict(type='LabelSmoothingHook', epsilon=0.1)]``: the heads of a model learn from soft labels."""

from typing import Any

from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from mmseg_plugin.soft_labels.sources import BoundaryLabelSmoothing, LabelSmoothing, SampleLabels
from shared_spec.parameters import NamedParameters


class SoftTargetHook(Hook, metaclass=NamedParameters):
    """Before training, tells every decode and auxiliary head where its soft labels come from.

    Class ids stay what samplers, branches and losses of class ids alone see, which the log names; ``acc_seg`` counts
    against the class of the largest share. Validation and checkpoints stay as they are. TypeError, in one sentence, for
    heads and losses that cannot learn from soft labels, ValueError for a second such hook.
    """

    source: Any

    def before_train(self, runner: Any) -> None:
        from mmseg_plugin.soft_labels.heads import give_soft_labels  # and the models: seconds that others need not wait

        hooks = [type(hook).__name__ for hook in runner.hooks if isinstance(hook, SoftTargetHook)]
        if len(hooks) > 1:
            raise ValueError(f'custom_hooks: {" and ".join(hooks)} both give soft labels, keep one of them')
        for sentence in give_soft_labels(runner.model, self.source):
            runner.logger.info(f'{self.source}: {sentence}')


@HOOKS.register_module()
class LabelSmoothingHook(SoftTargetHook):
    """``label_smoothing`` of the class ids, on their device; epsilon in [0, 1]. ValueError for another."""

    def __init__(self, epsilon: float) -> None:
        self.source = LabelSmoothing(epsilon, owner='LabelSmoothingHook')


@HOOKS.register_module()
class BoundaryLabelSmoothingHook(SoftTargetHook):
    """``boundary_label_smoothing`` of the class ids, on their device; window is odd. ValueError for another."""

    def __init__(self, epsilon: float = 0.5, window: int = 3) -> None:
        self.source = BoundaryLabelSmoothing(epsilon, owner='BoundaryLabelSmoothingHook', window=window)


@HOOKS.register_module()
class SoftLabelHook(SoftTargetHook):
    """``gt_soft_seg`` of the data samples, ``PixelData`` of float (C, H, W): shares that sum to 1, 0 where ignored.

    C is the number of classes, two for a head of one channel. All samples of a batch have it. What pads a batch is ignored.
    """

    def __init__(self) -> None:
        self.source = SampleLabels(owner='SoftLabelHook')
