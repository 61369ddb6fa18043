"""FineGrainedMetric: the fine-grained overlap metrics as an evaluator of MMSegmentation."""

from mmseg.registry import METRICS

from mmseg_plugin.evaluation.base import ImageMetric
from mmseg_plugin.metrics.fine_grained import tensor_counts
from shared_spec.metrics.fine_grained import FineGrained, FineGrainedState

# IoUMetric's mFscore is another: it leaves out classes that are never right
OF_IOU_METRIC = ('mAcc', 'mIoU', 'mDice', 'mPrecision')


@METRICS.register_module()
class FineGrainedMetric(ImageMetric):
    """Logs ``aAcc``, ``FWIoU``, ``mIoUD``, ``mIoUI5``, ``mDiceCQ``, ... in per cent; parameters as in ``FineGrained``.

    The D results that ``IoUMetric`` has too are logged under its names as well: ``mIoU`` is ``mIoUD``, and so on. The
    number of classes is that of ``dataset_meta['classes']``. An image is one small row of counts. How images are told apart, and what ``output_dir``,
    ``format_only`` and ``per_image_file`` write: see ``ImageMetric``.
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
        keep_results=False,
        per_image_file=None,
    ):
        self._arguments = dict(
            ignore_index=ignore_index,
            levels=levels,
            q=q,
            metrics=metrics,
            beta=beta,
            present_in=present_in,
            binary=binary,
        )
        super().__init__(collect_device, prefix, output_dir, format_only, per_image_file)

    def specs_for(self, num_classes):
        return [self.specs_of(FineGrained, num_classes=num_classes, **self._arguments)]

    def new_state(self):
        (spec,) = self.specs
        return FineGrainedState(spec.num_classes, spec.ignore_index)

    def row(self, sample):
        (spec,) = self.specs
        return (tensor_counts(*self.maps(sample), spec.num_classes, spec.ignore_index),)

    def aliases(self, found):
        return {name: found[name + 'D'] for name in OF_IOU_METRIC if name + 'D' in found}
