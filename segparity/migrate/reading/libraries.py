"""Whose a dotted name is: which library, and whether it names a loss, a metric or a model."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from segparity.migrate.reading.keras_names import ALIASES, CLASSES, FUNCTIONS, METRIC_FUNCTIONS, METRICS

Kind = Literal['loss', 'metric', 'either']

USUAL = {
    'tf': 'tensorflow',
    'K': 'keras.backend',
    'sm': 'segmentation_models',
    'smp': 'segmentation_models_pytorch',
    'nn': 'torch.nn',
    'F': 'torch.nn.functional',
    'tfa': 'tensorflow_addons',
}  # what a notebook calls them without importing them in it
KERAS = (
    'tensorflow.python.keras.',
    'tensorflow.compat.v1.keras.',
    'tensorflow.compat.v2.keras.',
    'tensorflow.contrib.keras.',
    'tensorflow.keras.',
    'tf_keras.src.',
    'tf_keras.',
    'keras.api.',
    'keras.src.',
    'keras.',
)
TORCH = frozenset(
    'CrossEntropyLoss NLLLoss BCELoss BCEWithLogitsLoss MSELoss L1Loss SmoothL1Loss HuberLoss KLDivLoss SoftMarginLoss '
    'MultiLabelSoftMarginLoss GaussianNLLLoss PoissonNLLLoss cross_entropy nll_loss binary_cross_entropy '
    'binary_cross_entropy_with_logits mse_loss l1_loss smooth_l1_loss kl_div'.split()
)
TENSORFLOW = frozenset(
    'sigmoid_cross_entropy_with_logits softmax_cross_entropy_with_logits softmax_cross_entropy_with_logits_v2 '
    'sparse_softmax_cross_entropy_with_logits weighted_cross_entropy_with_logits'.split()
)
MODULES: Sequence[tuple[str, str, Kind]] = (
    ('segmentation_models_pytorch.utils.losses.', 'smp', 'loss'),
    ('segmentation_models_pytorch.utils.metrics.', 'smp', 'metric'),
    ('segmentation_models_pytorch.losses.', 'smp', 'loss'),
    ('segmentation_models_pytorch.metrics.', 'smp', 'metric'),
    ('segmentation_models.losses.', 'segmentation_models', 'loss'),
    ('segmentation_models.metrics.', 'segmentation_models', 'metric'),
    ('segmentation_models_3D.losses.', 'segmentation_models', 'loss'),
    ('segmentation_models_3D.metrics.', 'segmentation_models', 'metric'),
    ('keras_plugin.losses.', 'segparity', 'loss'),
    ('keras_plugin.metrics.', 'segparity', 'metric'),
    ('mmseg_plugin.losses.', 'segparity', 'loss'),
    ('mmseg_plugin.metrics.', 'segparity', 'metric'),
    ('keras_cv.losses.', 'keras_cv', 'loss'),
    ('keras_hub.losses.', 'keras_hub', 'loss'),
    ('keras_hub.metrics.', 'keras_hub', 'metric'),
    ('keras_unet_collection.losses.', 'keras_unet_collection', 'loss'),
    ('keras_unet.losses.', 'keras_unet', 'loss'),
    ('keras_unet.metrics.', 'keras_unet', 'metric'),
    ('keras_contrib.losses.', 'keras_contrib', 'loss'),
    ('tensorflow_addons.losses.', 'tensorflow_addons', 'loss'),
    ('tensorflow_addons.metrics.', 'tensorflow_addons', 'metric'),
    ('monai.losses.', 'monai', 'loss'),
    ('monai.metrics.', 'monai', 'metric'),
    ('torchmetrics.', 'torchmetrics', 'metric'),
    ('kornia.losses.', 'kornia', 'loss'),
    ('mmseg.models.losses.', 'mmseg', 'loss'),
)
UTILITIES = frozenset('base constants functional utils set_framework keras tensorflow'.split())


@dataclasses.dataclass(frozen=True)
class Named:
    """A loss or metric of a library. name: that of the class or function, with what tells it from another of its name."""

    library: str
    name: str
    kind: Kind


ROOTS = frozenset(prefix.partition('.')[0] for prefix, _, _ in MODULES) | {'tf_keras', 'keras_core'}


def of_library(name: str) -> bool:
    """Whether a dotted name begins with a package whose losses or metrics are known."""
    return '.' in name and full_name(name).partition('.')[0] in ROOTS


def full_name(name: str) -> str:
    """A dotted name with the library's own name in place of the usual short one, Keras as 'keras.…'."""
    root, dot, rest = name.partition('.')
    if root in USUAL:
        name = f'{USUAL[root]}{dot}{rest}'
    for prefix in KERAS:
        if name.startswith(prefix):
            return f'keras.{name.removeprefix(prefix)}'
    return name


def named(name: str) -> Named | None:
    """Whose loss or metric a dotted name is; None where no library is known for it."""
    name = full_name(name)
    module, _, last = name.rpartition('.')
    if module.partition('.')[0] == 'keras':
        return _of_keras(module, last)
    if module.partition('.')[0] == 'tensorflow':
        if module == 'tensorflow.nn' and last in TENSORFLOW:
            return Named('tensorflow', last, 'loss')
        return _of_keras(module, last) if module in {'tensorflow.losses', 'tensorflow.metrics'} else None
    if module in {'torch.nn', 'torch.nn.functional', 'torch.nn.modules.loss', 'torch'}:
        return Named('torch', last, 'loss') if last in TORCH else None
    for prefix, library, kind in MODULES:
        if name.startswith(prefix):
            if last in UTILITIES or last.startswith('_') or last.isupper():
                return None
            if library == 'torchmetrics' and (last[:1].islower() and 'functional' not in module):
                return None
            special = 'utils.' in prefix and f'utils.{kind if kind != "loss" else "losse"}s.'
            return Named(library, f'{special or ""}{last}', kind)
    return None


def _of_keras(module: str, last: str) -> Named | None:
    word = ALIASES.get(last.lower() if last.isupper() else last, last)
    if module.endswith('metrics'):
        return Named('keras', word, 'metric') if word in METRICS | METRIC_FUNCTIONS else None
    if module.endswith(('losses', 'objectives', 'backend')) or '.losses.' in module or '.objectives.' in module:
        return Named('keras', word, 'loss') if word in CLASSES | FUNCTIONS else None
    return None


def from_star(name: str, modules: Sequence[str]) -> str:
    """The dotted name of a bare one that ``from module import *`` may have brought, by what is known of those modules."""
    if '.' not in name:
        for module in modules:
            if named(f'{module}.{name}') is not None:
                return f'{module}.{name}'
    return name
