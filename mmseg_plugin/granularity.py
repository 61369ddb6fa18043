"""The D, I and C means over (image, class) cells in PyTorch, of the global batch under data parallelism."""

import torch

from mmseg_plugin.distributed import sum_over_ranks
from mmseg_plugin.overlap import ratio
from shared_spec import shapes
from shared_spec.granularity import as_weights


def counted(spec, batch):
    """(N, C) which cells count."""
    n, c = batch.target.shape[:2]
    shapes.check_classes(type(spec).__name__, spec.classes, c)
    classes = spec.classes
    if classes == 'auto':
        classes = 'present' if batch.hard else 'all'
    if classes == 'present':
        cells = batch.largest_target > spec.presence_threshold
    else:
        chosen = range(c) if classes == 'all' else classes
        cells = torch.tensor([[k in chosen for k in range(c)]], device=batch.target.device).expand(n, c)
    return cells & batch.has_pixel[:, None]


def mean_over_cells(spec, batch, statistics, cell_loss):
    """The loss of ``spec``, a scalar: ``cell_loss`` of the statistics, each (N, C), averaged as the granularity says.

    D adds the statistics over the batch first; I averages the counted classes of each image, then images; C averages
    the images in which a class counts, then classes. Everything that ranks add up travels in one vector.
    """
    c = batch.target.shape[1]
    shapes.check_class_weight(type(spec).__name__, spec.class_weight, (c,))
    cells = counted(spec, batch)
    class_weight = statistics[0].new_tensor(spec.class_weight or [1.0] * c)
    image_weight = batch.image_weight.to(class_weight.dtype)
    levels = as_weights(spec.granularity)
    parts = {}
    if 'D' in levels:
        parts['D'] = torch.stack([s.sum(0) for s in statistics])
        parts['counts'] = cells.sum(0).to(class_weight.dtype)
    if 'I' in levels or 'C' in levels:
        loss = torch.where(cells, cell_loss(*statistics) * class_weight, 0)
    if 'I' in levels:
        image_loss = ratio(loss.sum(1), cells.sum(1), 0.0)
        w = image_weight * cells.any(1)
        parts['I'] = torch.stack([(w * image_loss).sum(), w.sum()])
    if 'C' in levels:
        w = image_weight[:, None] * cells
        parts['C'] = torch.stack([(w * loss).sum(0), w.sum(0)])

    parts = sum_over_ranks(parts, spec.sync)
    result = 0
    if 'D' in levels:
        counts = parts['counts'] > 0
        loss = torch.where(counts, cell_loss(*parts['D']) * class_weight, 0)
        result = result + levels['D'] * ratio(loss.sum(), counts.sum(), 0.0)
    if 'I' in levels:
        result = result + levels['I'] * ratio(*parts['I'], 0.0)
    if 'C' in levels:
        class_loss = ratio(*parts['C'], 0.0)
        result = result + levels['C'] * ratio(class_loss.sum(), (parts['C'][1] > 0).sum(), 0.0)
    return (spec.loss_weight * result).to(batch.pred.dtype)
