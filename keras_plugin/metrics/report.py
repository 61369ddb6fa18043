"""SegmentationReport: every fine-grained result at once."""

import keras
from keras import ops

from keras_plugin.metrics.base import CountedMetric, checked
from keras_plugin.metrics.scores import frequency_weighted_iou, mean, over_data_set, pixel_accuracy
from keras_plugin.metrics.state import DECILES


@keras.saving.register_keras_serializable(package='segparity')
class SegmentationReport(CountedMetric):
    """All results of ``FineGrained`` as one dictionary of fractions: ``aAcc``, ``FWIoU``, ``mIoUD``, ``mIoUC5``, ...

    Parameters as there. Where ``q`` is not empty and ``levels`` has I or C, the counts of every image are kept; beyond
    ``max_images`` the worst-case results are NaN, the others go on. In ``fit`` every result is sorted out in every
    step: with many classes evaluate with it rather than train with it, or leave ``q`` empty there.
    """

    def __init__(
        self,
        num_classes,
        ignore_class=None,
        levels=('D', 'I', 'C'),
        q=(1, 5),
        metrics=('mAcc', 'mIoU', 'mDice'),
        beta=1.0,
        present_in='target',
        binary=False,
        from_logits=False,
        max_images=1000,
        name=None,
        dtype=None,
    ):
        spec = checked(
            type(self).__name__,
            num_classes=num_classes,
            ignore_class=ignore_class,
            levels=levels,
            q=q,
            metrics=metrics,
            beta=beta,
            present_in=present_in,
            binary=binary,
        )
        means = tuple(level for level in spec.levels if level != 'D')
        worst = bool(spec.q and means)
        super().__init__(spec, from_logits, max_images, name, dtype, totals=True, means=means, worst=worst)

    def result(self):
        spec, totals = self.spec, self._totals.value(self.state_dtype)
        worst = {}
        if self._table is not None:
            levels = [level for level in spec.levels if level != 'D']
            worst = self._table.lowest(spec, levels, spec.q + DECILES, self.state_dtype)
        blocks = []  # for each level (M, results), in the order of the names
        for level in spec.levels:
            if level == 'D':
                plain = over_data_set(spec, totals)
            elif level == 'I':
                plain = self._image_means.value()
            else:
                means = self._class_means.value()
                plain = mean(means, means == means)  # NaN is not itself
            blocks.append(ops.expand_dims(plain, 1))
            if level in worst:
                blocks.append(worst[level][:, : len(spec.q)])
                blocks.append(ops.mean(worst[level][:, len(spec.q) :], axis=1, keepdims=True))
        levelless = ops.stack([pixel_accuracy(totals), frequency_weighted_iou(totals)])
        values = self.finished(ops.concatenate([levelless, ops.reshape(ops.concatenate(blocks, axis=1), (-1,))]))
        return dict(zip(spec.names(), ops.unstack(values)))

    def get_config(self):
        return {
            **self.spec.keras_arguments(),
            'from_logits': self.from_logits,
            'max_images': self.max_images,
            'name': self.name,
            'dtype': self.dtype,
        }
