"""Soft labels from hard ones, in PyTorch: what ``shared_spec.soft_labels`` defines, on the labels' own device.

Hard labels are integer class ids (N, *space) with one to three spatial axes, or MMSegmentation's (N, 1, *space) with two
or three; the soft labels are (N, C, *space) and sum to 1 over the classes, but for ignored pixels: these are 0 in every
class, and need the weight 0 in a loss, ``weight=soft.sum(1) > 0``. ValueError for shapes and parameters, TypeError for
labels that are no ids. Labels outside [0, C) are refused on the CPU and under SEGPARITY_DEBUG=1; a GPU and a compiled
model give NaN there.
"""

from mmseg_plugin.soft_labels.annotators import average_annotators
from mmseg_plugin.soft_labels.smoothing import boundary_label_smoothing, label_smoothing

__all__ = ['average_annotators', 'boundary_label_smoothing', 'label_smoothing']
