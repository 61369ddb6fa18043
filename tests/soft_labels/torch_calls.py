"""What the soft-label tests ask of the PyTorch worker; channels first, as in the spec."""

import unittest.mock

import torch

import mmseg_plugin
from tests.soft_labels.messages import message


def soft(arrays, name, class_axis=False, as_list=False, dtype=None, traced=False, device='cpu', **params):
    """``[dtype of the result, device kept]`` and the soft labels (N, C, *space) of ``arrays['target']``."""
    target = torch.tensor(arrays['target'], device=device)
    if class_axis:
        target = target.unsqueeze(2 if name == 'average_annotators' else 1)
    if dtype is not None:
        params['dtype'] = getattr(torch, dtype)
    call = getattr(mmseg_plugin.soft_labels, name)
    found = call(list(target) if as_list else target, **params)
    elsewhere = call(target.to('meta'), **params)
    kept = found.device == target.device and elsewhere.device.type == 'meta' and elsewhere.shape == found.shape
    return [str(found.dtype).removeprefix('torch.'), kept], {'soft': found.double().cpu().numpy()}


def unchecked(arrays, name, **params):
    """``soft`` as a GPU has it, where nobody looks at the values of the labels."""
    with unittest.mock.patch('mmseg_plugin.soft_labels.ids.can_look', lambda *tensors: False):
        return soft(arrays, name, **params)


def refusal(arrays, name, **params):
    """The error that a call raises, as text."""
    call = getattr(mmseg_plugin.soft_labels, name)
    return message(call, torch.tensor(arrays['target']), **params), {}


def own_refusals(arrays):
    """The errors of calls that only PyTorch can make."""
    y = torch.zeros((1, 3), dtype=torch.int64)
    labels, average = mmseg_plugin.soft_labels.label_smoothing, mmseg_plugin.soft_labels.average_annotators
    return {
        'array': message(labels, y.numpy(), 0.1, num_classes=2),
        'dtype': message(labels, y, 0.1, num_classes=2, dtype=torch.int32),
        'dtype_name': message(labels, y, 0.1, num_classes=2, dtype='float32'),
        'shapes': message(average, [y, y[:, :2]]),
        'none': message(average, []),
        'nothing': message(average, None),
        'one_is_none': message(average, [y, None]),
    }, {}


def recalibrated(arrays, parts=False, wild=False):
    """The dtype and values of recalibrated logits (N, C, *space); wild: one pixel is sure, one NaN, one infinite."""
    from mmseg_plugin.soft_labels import recalibrated as module
    from shared_spec.recalibration import DirichletRecalibration

    made = DirichletRecalibration(arrays['prob'], arrays['labels'], arrays['weights'])
    logits = torch.tensor(arrays['logits']).requires_grad_()
    with torch.no_grad():
        if wild:
            logits[0, 0, 0, 0], logits[0, 1, 0, 1], logits[0, 2, 0, 2] = 1e4, torch.nan, -torch.inf
    with unittest.mock.patch.object(module, 'rows_at_once', lambda keys: 7 if parts else 10**6):
        found = module.recalibrate_logits(made, logits)
    assert not found.requires_grad
    return str(found.dtype).removeprefix('torch.'), {'log': found.numpy().astype('float64')}
