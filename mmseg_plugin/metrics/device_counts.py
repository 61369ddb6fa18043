"""tp, fp, fn of one image's id maps where they lie: with NumPy on the CPU, with one torch.bincount elsewhere."""

import torch

from shared_spec.metrics.counts import image_counts


def tensor_counts(pred, target, num_classes, ignore_index):
    """tp, fp, fn of two id maps of one shape -> NumPy int64 (num_classes, 3), as ``image_counts`` defines them."""
    if pred.device.type == 'cpu':
        return image_counts(whole(pred).numpy(), whole(target.cpu()).numpy(), num_classes, ignore_index)
    return on_device(whole(pred), whole(target.to(pred.device)), num_classes, ignore_index)


def whole(ids):
    """Ids as integers that torch can compare: MMSegmentation's one-channel heads threshold into floats.

    Bytes of a boolean map that are neither 0 nor 1 are cast, not viewed; ids that are no whole numbers are refused.
    """
    ids = ids.detach()
    if ids.is_floating_point():
        if (ids != ids.trunc()).any():
            raise ValueError('image_counts: class ids must be whole numbers, got others')
        return ids.long()
    if ids.dtype == torch.bool:
        return ids.to(torch.uint8)
    return ids.long() if ids.dtype in (torch.uint16, torch.uint32, torch.uint64) else ids


def on_device(pred, target, num_classes, ignore_index):
    """The same with one pass and one small transfer; the rows after the classes are 'other' and 'ignored'."""
    pred, target = pred.reshape(-1).long(), target.reshape(-1).long()
    row = torch.where((target < 0) | (target >= num_classes), num_classes, target)
    if ignore_index is not None:
        row = torch.where(target == ignore_index, num_classes + 1, row)
    column = torch.where((pred < 0) | (pred >= num_classes), num_classes, pred)
    width = num_classes + 1
    table = torch.bincount(row * width + column, minlength=(num_classes + 2) * width)
    table = table.reshape(num_classes + 2, width).cpu()[: num_classes + 1]
    if table[:, num_classes].any():
        raise ValueError(f'image_counts: predictions must be class ids below {num_classes}, got others')
    table = table[:, :num_classes]
    tp = table.diagonal()
    return torch.stack([tp, table.sum(0) - tp, table[:num_classes].sum(1) - tp], 1).numpy()
