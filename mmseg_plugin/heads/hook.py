"""``custom_hooks=[dict(type='FusedResizeHook')]``: the heads of a model leave the resize to their losses."""

from typing import Any

from mmengine.hooks import Hook
from mmseg.registry import HOOKS


@HOOKS.register_module()
class FusedResizeHook(Hook):
    """Swaps ``loss_by_feat`` of every decode and auxiliary head that has MMSegmentation's own, before training begins.

    Numbers, parameters and checkpoints stay as they are. What has to have the logits of every pixel all the same is
    logged once: heads with a ``loss_by_feat`` of their own, which are left alone, samplers and losses of others.
    """

    def before_train(self, runner: Any) -> None:
        from mmseg_plugin.heads.swap import fuse_resize  # which imports the models, seconds that others need not wait

        for sentence in fuse_resize(runner.model):
            runner.logger.info(f'FusedResizeHook: {sentence}')
