"""The U-Net of one world on the plan's first batch, in a process of its own: ``python -m tests.demo.forward``."""

import sys
from pathlib import Path

import numpy as np

from segparity.demo.dataset import read_split
from segparity.demo.network import Plan, mmseg_state
from segparity.demo.settings import Settings


def mmseg(out):
    """Logits (N, C, H, W) in training and evaluation, the loss, and the learning rates of the config's scheduler."""
    import torch
    from mmengine.registry import DATA_SAMPLERS, PARAM_SCHEDULERS, init_default_scope
    from mmseg.registry import MODELS

    import mmseg_plugin  # noqa: F401
    from segparity.demo import mmseg_parts  # noqa: F401
    from segparity.demo.train_mmseg import demo_config

    init_default_scope('mmseg')
    settings, plan = Settings.read(out), Plan.read(out)
    config = demo_config(out, settings)
    model = MODELS.build(config.model)
    state = mmseg_state(plan.weights, settings.base_channels)
    model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in state.items()})
    images, labels = (array[plan.batches[0]] for array in read_split(out, 'train'))
    raw = torch.from_numpy(images.transpose(0, 3, 1, 2)[:, ::-1].copy())  # BGR, as MMSegmentation reads images
    inputs = model.data_preprocessor({'inputs': list(raw), 'data_samples': None})['inputs']
    found = {'loss': 0.0}
    for mode in (False, True):  # in this order, for training changes the running statistics
        model.train(mode)
        with torch.no_grad():
            logits = model.decode_head(model.extract_feat(inputs))
        found['train' if mode else 'eval'] = logits.numpy()
    for loss in model.decode_head.loss_decode:
        found['loss'] += float(loss(logits, torch.from_numpy(labels).long(), ignore_index=255))

    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.peak_lr)
    scheduler = PARAM_SCHEDULERS.build(config.param_scheduler, default_args=dict(optimizer=optimizer))
    found['rates'] = []
    for _ in range(settings.iterations):
        found['rates'].append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    sampler = DATA_SAMPLERS.build(
        config.train_dataloader.sampler, default_args=dict(dataset=range(settings.train_scenes))
    )
    found['order'] = list(sampler)
    return found


def keras(out):
    """The same of Keras, logits turned to (N, C, H, W)."""
    from keras import ops

    from segparity.demo.keras_parts import PlannedRates, planned_batches
    from segparity.demo.train_keras import compiled_unet

    settings, plan = Settings.read(out), Plan.read(out)
    model = compiled_unet(settings, plan)
    images, labels = next(planned_batches(*read_split(out, 'train'), plan.batches))
    evaluation, train = (ops.convert_to_numpy(model(images, training=mode)) for mode in (False, True))
    schedule = PlannedRates(plan.learning_rates)
    return {
        'train': train.transpose(0, 3, 1, 2),
        'eval': evaluation.transpose(0, 3, 1, 2),
        'loss': float(model.loss(labels, train)),
        'rates': [float(schedule(step)) for step in range(settings.iterations)],
    }


if __name__ == '__main__':
    np.savez(sys.argv[3], **{'mmseg': mmseg, 'keras': keras}[sys.argv[1]](Path(sys.argv[2])))
