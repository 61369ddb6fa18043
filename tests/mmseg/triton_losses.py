"""Losses of the catalogue through the overlap kernels: which, on which of the spec's cases."""

import dataclasses

import torch

from segparity.parity import cases, replay
from segparity.parity.check import plan
from segparity.parity.torch_side import value_and_gradient
from shared_spec import LOSSES

USERS = ('JaccardMetricLoss', 'SoftTverskyLoss', 'FocalTverskyLoss', 'GeneralizedDiceLoss')
QUICK = [
    ('JaccardMetricLoss', 'default', 'ignored_not_a_number', 'float32'),
    ('JaccardMetricLoss', 'image_class', 'pixel_weight_soft', 'float32'),
]
SLOW = [
    ('JaccardMetricLoss', 'default', 'ignored_border', 'bfloat16'),
    ('SoftDiceLoss', 'default', 'one_channel_ignored', 'float32'),
    ('FocalTverskyLoss', 'default', 'pixel_weight', 'float32'),
    *((*pair, 'float64') for pair in ((n, e, c) for n in USERS for e, c in plan(n))),
]


def spec_and_case(name, example, case, dtype):
    """The spec and the case, whose logits are those that ``dtype`` holds."""
    inputs = cases.build(case)
    pred = torch.tensor(inputs.pred).to(getattr(torch, dtype)).double().numpy()
    inputs = dataclasses.replace(inputs, pred=pred)
    return replay.spec_for(LOSSES[name], LOSSES[name].examples[example], inputs), inputs


def run(name, example, case, dtype):
    """Value and gradient of the public loss."""
    spec, inputs = spec_and_case(name, example, case, dtype)
    arrays = dict(pred=inputs.pred, target=inputs.target, weight=inputs.weight)
    return value_and_gradient(arrays, spec.to_dict(), dtype, inputs.call_ignore_index)[1]
