"""Soft labels from hard ones, in Keras: what ``shared_spec.soft_labels`` defines, on any backend, traced or not.

Hard labels are a batch of integer class ids (N, *space) with one to three spatial axes, or (N, *space, 1) with two or
three; the soft labels are (N, *space, C) and sum to 1 over the classes, but for ignored pixels: these are 0 in every
class, and need the weight 0 in a loss, ``sample_weight=soft.sum(-1) > 0``. ValueError for shapes and parameters,
TypeError for labels that are no ids. A label outside [0, C) that is not ignored is refused with ValueError where values
can be seen (eager, on the CPU), and elsewhere NaN in every class of its pixel.

Models that train with the soft labels of a teacher: ``Distiller``, and ``MeanTeacher`` with ``semi_supervised`` data.
"""

from keras_plugin.soft_labels.annotator_dataset import AnnotatorDataset
from keras_plugin.soft_labels.annotators import average_annotators
from keras_plugin.soft_labels.distiller import Distiller
from keras_plugin.soft_labels.mean_teacher import MeanTeacher
from keras_plugin.soft_labels.pairs import semi_supervised
from keras_plugin.soft_labels.smoothing import boundary_label_smoothing, label_smoothing

__all__ = [
    'AnnotatorDataset',
    'Distiller',
    'MeanTeacher',
    'average_annotators',
    'boundary_label_smoothing',
    'label_smoothing',
    'semi_supervised',
]
