"""The demo's additions to an MMSegmentation run: planned batches, a progress record, logits on disk."""

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmseg.registry import DATA_SAMPLERS, HOOKS, METRICS
from torch.utils.data import Sampler

from segparity.demo.child import Progress
from segparity.demo.network import Plan, mmseg_state
from segparity.demo.settings import DemoError, Settings


@DATA_SAMPLERS.register_module()
class PlannedSampler(Sampler):
    """Gives the images in the order of the plan, so that Keras sees the same batches."""

    def __init__(self, dataset, out, seed=None):
        self.order = Plan.read(out).batches.ravel()
        if self.order.max() >= len(dataset):
            raise ValueError(
                f'PlannedSampler: the plan names image {self.order.max()}, the data set has {len(dataset)}'
            )

    def __iter__(self):
        return iter(self.order.tolist())

    def __len__(self):
        return len(self.order)


@HOOKS.register_module()
class PlannedStart(Hook):
    """Refuses to train from other weights than the plan's: ``load_from`` itself only warns of a name it misses."""

    def __init__(self, out):
        self.out = out

    def before_train(self, runner):
        if runner.iter:
            return
        settings = Settings.read(self.out)
        wanted = mmseg_state(Plan.read(self.out).weights, settings.base_channels)
        got = {name: value.numpy() for name, value in runner.model.state_dict().items()}
        strange = set(wanted) ^ set(got) or {name for name in wanted if not np.array_equal(wanted[name], got[name])}
        if strange:
            raise DemoError(f'the config does not start from the weights of the plan: {sorted(strange)[0]} differs')


@HOOKS.register_module()
class ProgressHook(Hook):
    """Writes the loss and its parts of every iteration, and the metrics of every validation."""

    def __init__(self, path):
        self.path = path

    def before_train(self, runner):
        self.progress = Progress(self.path, done=runner.iter)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        losses = {name.rpartition('.')[2]: float(value) for name, value in outputs.items() if 'loss' in name}
        self.progress.step(runner.iter, lr=runner.optim_wrapper.get_lr()['lr'][0], **losses)

    def after_val_epoch(self, runner, metrics=None):
        self.progress.validation(runner.iter, **{name: value / 100 for name, value in metrics.items()})


@METRICS.register_module()
class KeepLogits(BaseMetric):
    """No metric: collects the logits of every image, in the order of the data set, and saves them."""

    def __init__(self, path, **kwargs):
        super().__init__(**kwargs)
        self.path = path

    def process(self, data_batch, data_samples):
        self.results.extend(sample['seg_logits']['data'].cpu().numpy() for sample in data_samples)

    def compute_metrics(self, results):
        np.save(self.path, np.stack(results).astype(np.float32))
        return {}
