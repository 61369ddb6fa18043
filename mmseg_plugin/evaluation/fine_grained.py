"""FineGrainedMetric: the fine-grained overlap metrics as an evaluator of MMSegmentation."""

import os.path as osp
import sys
from abc import ABCMeta

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger, print_log
from mmengine.utils import mkdir_or_exist
from mmseg.registry import METRICS
from PIL import Image
from prettytable import PrettyTable

from mmseg_plugin.evaluation.device_counts import tensor_counts, whole
from shared_spec.metrics.counts import FineGrainedState
from shared_spec.metrics.fine_grained import FineGrained
from shared_spec.spec import NamedParameters, SpecError


class _NamedABCMeta(NamedParameters, ABCMeta):
    """BaseMetric is abstract and our constructors name what they do not know: both metaclasses in one."""


@METRICS.register_module()
class FineGrainedMetric(BaseMetric, metaclass=_NamedABCMeta):
    """Logs ``aAcc``, ``FWIoU``, ``mIoUD``, ``mIoUI5``, ``mDiceCQ``, ... in per cent; parameters as in ``FineGrained``.

    The number of classes is that of ``dataset_meta['classes']``. An image is one small row of counts; one that a padded
    distributed sampler repeats is dropped by its identity (paths and sample index), and an image without identity
    never. ``output_dir`` writes predictions as PNG, as IoUMetric does; ``format_only`` does nothing else.
    ``save_best`` infers the rule of every name with mIoU, mDice, mAcc, aAcc or mPrecision in it; FWIoU and mFscore
    need ``rule='greater'``.
    """

    def __init__(
        self,
        *,
        ignore_index=255,
        levels=('D', 'I', 'C'),
        q=(1, 5),
        metrics=('mAcc', 'mIoU', 'mDice'),
        beta=1.0,
        present_in='target',
        binary=False,
        collect_device='cpu',
        prefix=None,
        output_dir=None,
        format_only=False,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        self._arguments = dict(
            ignore_index=ignore_index,
            levels=levels,
            q=q,
            metrics=metrics,
            beta=beta,
            present_in=present_in,
            binary=binary,
        )
        self._spec(num_classes=2)  # refuses here what it can; the number of classes comes with the data set
        if format_only and output_dir is None:
            raise SpecError(f'{type(self).__name__}: format_only=True needs output_dir, got None')
        self.output_dir, self.format_only = output_dir, format_only
        if output_dir is not None:
            mkdir_or_exist(output_dir)
        self._size = sys.maxsize

    def _spec(self, num_classes):
        try:
            return FineGrained(num_classes=num_classes, **self._arguments)
        except SpecError as error:
            raise SpecError(str(error).replace(FineGrained.__name__, type(self).__name__, 1)) from None

    @property
    def spec(self):
        """The spec for the classes of the data set."""
        classes = (self.dataset_meta or {}).get('classes')
        if not classes:
            raise ValueError(f"{type(self).__name__}: dataset_meta must name the 'classes', got {self.dataset_meta!r}")
        return self._spec(num_classes=len(classes))

    def process(self, data_batch, data_samples):
        """Counts a batch of data samples (dicts with ``pred_sem_seg`` and ``gt_sem_seg``); writes it to output_dir."""
        spec = self.spec
        for sample in data_samples:
            pred = sample['pred_sem_seg']['data']
            if not self.format_only:
                target = sample['gt_sem_seg']['data']
                if pred.numel() != target.numel() or pred.shape[-1] != target.shape[-1]:
                    raise ValueError(
                        f'{type(self).__name__}: pred_sem_seg must have the shape of gt_sem_seg '
                        f'{tuple(target.shape)}, got {tuple(pred.shape)}'
                    )
                counts = tensor_counts(pred.reshape(target.shape), target, spec.num_classes, spec.ignore_index)
                self.results.append((identity(sample), counts))
            if self.output_dir is not None:
                self._write(sample, whole(pred).cpu().numpy(), spec.num_classes)

    def _write(self, sample, ids, num_classes):
        if not sample.get('img_path'):
            raise ValueError(f"{type(self).__name__}: output_dir needs the 'img_path' of every sample, got none")
        shift = 1 if sample.get('reduce_zero_label', False) else 0
        ids = ids.reshape(ids.shape[-2:]) + shift
        stem = osp.splitext(osp.basename(sample['img_path']))[0]
        dtype = np.uint8 if num_classes + shift <= 256 else np.uint16
        Image.fromarray(ids.astype(dtype)).save(osp.join(self.output_dir, f'{stem}.png'))

    def evaluate(self, size):
        """As BaseMetric; but rows are cut to ``size`` only where identities cannot tell the repeated ones."""
        self._size = size
        try:
            return super().evaluate(sys.maxsize)
        finally:
            self._size = sys.maxsize

    def compute_metrics(self, results):
        """Name -> per cent of the collected rows (identity, counts); logs the table of classes."""
        logger = MMLogger.get_current_instance()
        if self.format_only:
            logger.info(f'results are saved to {self.output_dir}')
            return {}
        spec = self.spec
        if any(image_id is None for image_id, _ in results):
            results = results[: self._size]
        state = FineGrainedState(spec.num_classes, spec.ignore_index)
        for image_id, counts in results:
            state.add(counts, image_id)
        print_log('per class results:', logger)
        print_log('\n' + class_table(state.per_class(spec), self.dataset_meta['classes']), logger=logger)
        return {name: 100 * value for name, value in state.results(spec).items()}


def identity(sample):
    """What tells an image from every other: its paths and its index in the data set, or None where it has neither."""
    keys = ('img_path', 'seg_map_path', 'sample_idx')
    known = [f'{key}={sample[key]}' for key in keys if sample.get(key) is not None]
    return ' '.join(known) if sample.get('img_path') is not None or sample.get('sample_idx') is not None else None


def class_table(per_class, class_names):
    """The D and C results of every class in per cent, two decimals, without the worst-case columns."""
    table = PrettyTable()
    table.add_column('Class', list(class_names))
    for name, values in per_class.items():
        if name[-1] in 'DC':
            table.add_column(name, [f'{v:.2f}' for v in 100 * values])
    return table.get_string()
