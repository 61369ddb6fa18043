"""BoundaryIoU for ``compile(metrics=[...])``."""

import keras

from keras_plugin.metrics.base import CountedMetric
from keras_plugin.metrics.boundary_maps import boundary_maps
from keras_plugin.metrics.checked import spec_of
from keras_plugin.metrics.counts import pair_counts
from shared_spec.checks import Choice
from shared_spec.metrics import boundary
from shared_spec.metrics.fine_grained import FineGrained
from shared_spec.parameters import frozen

LEVEL = Choice('D', 'I', 'C')


@keras.saving.register_keras_serializable(package='segparity')
class BoundaryIoU(CountedMetric):
    """Boundary IoU of 2-D or 3-D maps, a fraction, at ``level`` 'D' (data set), 'I' (images) or 'C' (classes).

    The boundary is d = max(1, round(ratio * diagonal of the image)) pixels wide, so the size of the images must be
    known while a step is traced; inputs as in ``keras_plugin.metrics.label_maps``, definition as in ``segparity show
    BoundaryIoU``. There is no q here: for worst cases of other scores see ``MeanIoU``. The default name is that of the
    result, such as 'BoundaryIoUC'.
    """

    def __init__(
        self,
        num_classes,
        level='D',
        ignore_class=None,
        from_logits=False,
        ratio=0.02,
        present_in='target',
        binary=False,
        name=None,
        dtype=None,
    ):
        owner = type(self).__name__
        level = frozen(owner, 'level', LEVEL, level)
        common = dict(
            num_classes=num_classes, ignore_class=ignore_class, levels=(level,), present_in=present_in, binary=binary
        )
        self.boundary = spec_of(boundary.BoundaryIoU, owner, ratio=ratio, **common)
        super().__init__(
            spec_of(FineGrained, owner, q=(), metrics=('mIoU',), **common),  # the IoU of the boundaries' counts
            from_logits,
            1,
            'step',
            name or f'BoundaryIoU{level}',
            dtype,
            totals=level == 'D',
            means=() if level == 'D' else (level,),
            worst=False,
        )

    def counts_of(self, maps):
        return pair_counts(*boundary_maps(self.boundary, type(self).__name__, maps), self.spec.num_classes)

    def result(self):
        return self.finished(self.plain(self.boundary.levels[0])[0])

    def per_class(self):
        return {f'Boundary{name}': values for name, values in super().per_class().items()}

    def get_config(self):
        return {
            'num_classes': self.spec.num_classes,
            'level': self.boundary.levels[0],
            'ignore_class': self.spec.ignore_index,
            'from_logits': self.from_logits,
            'ratio': self.boundary.ratio,
            'present_in': self.spec.present_in,
            'binary': self.spec.binary,
            'name': self.name,
            'dtype': self.dtype,
        }
