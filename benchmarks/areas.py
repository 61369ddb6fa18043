"""What ``make bench`` measures: area -> title, and the runs that it takes, each in a process of its own."""

from typing import NamedTuple

from benchmarks.targets import KERAS_COMPOUNDS


class Run(NamedTuple):
    """``python -m benchmarks.<module> <arguments>`` with some environment."""

    module: str
    arguments: tuple = ()
    environment: dict = {}


def on_every_backend(module):
    return [Run(module, environment={'KERAS_BACKEND': name}) for name in ('tensorflow', 'jax', 'torch')]


LOVASZ = '19 classes, trained', '150 classes, trained', '2 classes, trained', '2 classes, small', 'hinge, trained'
KERAS = (
    'JaccardMetricLoss', 'JaccardMetricLoss, I + C', 'SoftDiceLoss', 'GeneralizedDiceLoss', 'FocalTverskyLoss',
    'LovaszSoftmaxLoss', 'WeightedCrossEntropyLoss', *KERAS_COMPOUNDS,
)  # fmt: skip
WEIGHED = 'keras Dice', 'keras one_hot + Dice', 'JaccardMetricLoss', 'WeightedCrossEntropyLoss', 'UnifiedFocalLoss'
AREAS = {
    'region': (
        'Region losses in PyTorch',
        [Run('overlap'), Run('overlap', ('--soft',)), Run('overlap', ('--dtype', 'bfloat16', '--shapes', '0'))],
    ),
    'lovasz': ('Lovasz losses in PyTorch', [Run('lovasz', ('--settings', *LOVASZ))]),
    'pixel': ('Pixel losses and compounds in PyTorch', [Run('pixel'), Run('pixel', ('--soft',))]),
    'load': ('Under load in PyTorch', [Run('under_load')]),
    'resize': ('Heads with small logits in PyTorch', [Run('resize')]),
    'keras': ('Losses in Keras', [Run('keras_losses', ('--losses', *KERAS, '--weigh', *WEIGHED))]),
    'accuracy': ('Accuracy in PyTorch', [Run('accuracy')]),
    'scaling': ('Scaling in PyTorch', [Run('scaling')]),
    'processes': ('Data-parallel processes in PyTorch', [Run('processes')]),
    'metrics': ('Metrics', [Run('metrics'), *on_every_backend('keras_metrics')]),
    'catalogue': ('Every region loss in PyTorch', [Run('overlap', ('--all',))]),
    'gpu': ('Losses on a GPU', [Run('gpu')]),
}
