"""Trains the demo's U-Net in Keras: ``python -m segparity.demo.train_keras --out demo_out``; KERAS_BACKEND decides.

``compile`` with segparity's losses and metrics, ``fit``, ``predict``: what a user of Keras writes.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from segparity.demo.child import child_main, read_progress
from segparity.demo.dataset import read_split
from segparity.demo.network import Plan
from segparity.demo.settings import BETAS, EPSILON, IGNORE, LOSSES, NUM_CLASSES, Q, Settings, write_json

if TYPE_CHECKING:
    from pathlib import Path

    import keras

EVALUATION_BATCH = 20


def compiled_unet(settings: Settings, plan: Plan) -> keras.Model:
    """The U-Net with the plan's weights, ready for ``fit``."""
    import keras

    import keras_plugin
    from segparity.demo.keras_parts import PlannedRates
    from segparity.demo.keras_unet import build_unet, load_weights

    model = build_unet(settings)
    load_weights(model, settings, plan.weights)
    parts = [getattr(keras_plugin.losses, name)(from_logits=True, ignore_class=IGNORE) for name, _ in LOSSES]
    model.compile(
        optimizer=keras.optimizers.AdamW(
            PlannedRates(plan.learning_rates),
            weight_decay=settings.weight_decay,
            beta_1=BETAS[0],
            beta_2=BETAS[1],
            epsilon=EPSILON,
        ),
        loss=keras_plugin.losses.WeightedSumLoss(losses=parts, weights=[weight for _, weight in LOSSES]),
        metrics=[
            keras_plugin.metrics.MeanIoU(
                NUM_CLASSES, level=level, ignore_class=IGNORE, from_logits=True, name=f'mIoU{level}'
            )
            for level in 'DIC'
        ],
    )
    return model


def report(labels: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    """Every fine-grained metric of logits (N, H, W, C), by ``keras_plugin``: name -> fraction."""
    import keras_plugin
    import shared_spec

    spec = shared_spec.METRICS['FineGrained'](num_classes=NUM_CLASSES, ignore_index=IGNORE, q=Q)
    metric = keras_plugin.metrics.SegmentationReport(**spec.to_keras(), from_logits=True, max_images=len(labels))
    for start in range(0, len(labels), EVALUATION_BATCH):
        metric.update_state(labels[start : start + EVALUATION_BATCH], logits[start : start + EVALUATION_BATCH])
    return {name: float(value) for name, value in metric.result().items()}


def train(out: Path) -> None:
    import keras

    from segparity.demo.keras_parts import Checkpoint, Record, planned_batches, restore

    settings, plan = Settings.read(out), Plan.read(out)
    images, labels = read_split(out, 'train')
    val_images, val_labels = read_split(out, 'val')
    folder = out / 'keras'
    folder.mkdir(exist_ok=True)
    keras.utils.set_random_seed(settings.seed)

    model = compiled_unet(settings, plan)
    checkpoint = folder / 'last.weights.h5'
    done = restore(model, checkpoint)
    if done is None:  # a damaged file may have set half of the variables
        model, done = compiled_unet(settings, plan), 0
    if done < settings.iterations:
        model.fit(
            planned_batches(images, labels, plan.batches[done:]),
            steps_per_epoch=settings.val_every,
            initial_epoch=done // settings.val_every,
            epochs=settings.iterations // settings.val_every,
            validation_data=(val_images.astype(np.float32), val_labels),
            validation_batch_size=EVALUATION_BATCH,
            callbacks=[Record(folder / 'progress.jsonl', done, plan.learning_rates), Checkpoint(checkpoint)],
            shuffle=False,
            verbose=0,
        )
    logits = model.predict(val_images.astype(np.float32), batch_size=EVALUATION_BATCH, verbose=0)
    np.save(folder / 'val_logits.npy', np.ascontiguousarray(logits.transpose(0, 3, 1, 2)))
    steps, _ = read_progress(folder / 'progress.jsonl')
    write_json(
        folder / 'result.json',
        {
            'metrics': report(val_labels, logits),
            'seconds': sum(line['seconds'] for line in steps),
            'parameters': sum(int(np.prod(v.shape)) for v in model.trainable_variables),
        },
    )


if __name__ == '__main__':
    sys.exit(child_main(train, __doc__.splitlines()[0]))
