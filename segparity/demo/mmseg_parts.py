"""The demo's additions to an MMSegmentation run: planned batches, a progress record, logits on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmseg.registry import DATA_SAMPLERS, HOOKS, METRICS
from torch.utils.data import Sampler

from segparity.demo.child import Progress
from segparity.demo.network import Plan, mmseg_state
from segparity.demo.settings import DemoError, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence, Sized
    from pathlib import Path

    from mmengine.runner import Runner


@DATA_SAMPLERS.register_module()
class PlannedSampler(Sampler):
    """Gives the images in the order of the plan, so that Keras sees the same batches."""

    def __init__(self, dataset: Sized, out: str | Path, seed: int | None = None) -> None:
        self.order = Plan.read(out).batches.ravel()
        if self.order.max() >= len(dataset):
            raise ValueError(
                f'PlannedSampler: the plan names image {self.order.max()}, the data set has {len(dataset)}'
            )

    def __iter__(self) -> Iterator[int]:
        return iter(self.order.tolist())

    def __len__(self) -> int:
        return len(self.order)


@HOOKS.register_module()
class PlannedStart(Hook):
    """Refuses to train from other weights than the plan's: ``load_from`` itself only warns of a name it misses."""

    def __init__(self, out: str | Path) -> None:
        self.out = out

    def before_train(self, runner: Runner) -> None:
        if runner.iter:
            return
        settings = Settings.read(self.out)
        wanted = mmseg_state(Plan.read(self.out).weights, settings.base_channels)
        got = {name: value.numpy() for name, value in runner.model.state_dict().items()}
        strange = set(wanted) ^ set(got) or {name for name in wanted if not np.array_equal(wanted[name], got[name])}
        if strange:
            raise DemoError(f'the config does not start from the weights of the plan: {min(strange)} differs')


@HOOKS.register_module()
class ProgressHook(Hook):
    """Writes the loss and its parts of every iteration, and the metrics of every validation."""

    def __init__(self, path: str | Path) -> None:
        self.path = path

    def before_train(self, runner: Runner) -> None:
        self.progress = Progress(self.path, done=runner.iter)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        found = cast(dict[str, Any], outputs)
        losses = {name.rpartition('.')[2]: float(value) for name, value in found.items() if 'loss' in name}
        self.progress.step(runner.iter, lr=runner.optim_wrapper.get_lr()['lr'][0], **losses)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        found = cast(dict[str, float], metrics)
        self.progress.validation(runner.iter, **{name: value / 100 for name, value in found.items()})


@METRICS.register_module()
class KeepLogits(BaseMetric):
    """No metric: collects the logits of every image, in the order of the data set, and saves them."""

    def __init__(self, path: str | Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = path

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        self.results.extend(sample['seg_logits']['data'].cpu().numpy() for sample in data_samples)

    def compute_metrics(self, results: list) -> dict:
        np.save(self.path, np.stack(results).astype(np.float32))
        return {}
