"""Losses and metrics of saved predictions, in one world: ``python -m segparity.demo.judge``.

Every world and the NumPy reference judge the predictions of every world, so that what differs is the implementation.
"""

import sys
from pathlib import Path

import numpy as np

from segparity.demo.child import child_main
from segparity.demo.dataset import read_logits, read_split
from segparity.demo.settings import CLASSES, IGNORE, LOSSES, NUM_CLASSES, Q, write_json
from shared_spec import LossSpec

LEVELS = {'D': {}, 'I': {'granularity': 'I'}, 'C': {'granularity': 'C'}}
METRICS = ('aAcc', 'mIoUD', 'mIoUI', 'mIoUI5', 'mIoUI1', 'mIoUC', 'mIoUC5', 'mIoUC1', 'mDiceD', 'mAccD')


def loss_specs() -> dict[str, LossSpec]:
    """Title -> spec of every loss that is compared."""
    import shared_spec

    cross_entropy, jaccard = (shared_spec.LOSSES[name] for name, _ in LOSSES)
    specs = {'cross-entropy': cross_entropy(ignore_index=IGNORE)}
    for level, extra in LEVELS.items():
        specs[f'Jaccard metric loss, level {level}'] = jaccard(ignore_index=IGNORE, **extra)
    return specs


def with_total(values: dict[str, float]) -> dict[str, float]:
    """The values, and the sum that was trained."""
    parts = values['cross-entropy'], values['Jaccard metric loss, level D']
    return {**values, 'trained sum': sum(weight * value for (_, weight), value in zip(LOSSES, parts))}


def judge_numpy(logits: np.ndarray, labels: np.ndarray) -> tuple[dict[str, float], dict[str, float]]:
    """The float64 reference of the spec."""
    import shared_spec

    losses = {title: float(spec.reference(logits, labels)) for title, spec in loss_specs().items()}
    spec = shared_spec.METRICS['FineGrained'](num_classes=NUM_CLASSES, ignore_index=IGNORE, q=Q)
    return losses, spec.reference(logits.argmax(1), labels)


def judge_mmseg(logits: np.ndarray, labels: np.ndarray) -> tuple[dict[str, float], dict[str, float]]:
    """``mmseg_plugin``: the registered losses and the evaluator."""
    import torch
    from mmengine.structures import PixelData
    from mmseg.registry import METRICS as EVALUATORS
    from mmseg.registry import MODELS
    from mmseg.structures import SegDataSample

    import mmseg_plugin  # noqa: F401  registers

    pred, target = torch.from_numpy(logits), torch.from_numpy(labels)
    losses = {title: float(MODELS.build(spec.to_mmseg())(pred, target)) for title, spec in loss_specs().items()}
    evaluator = EVALUATORS.build(dict(type='FineGrainedMetric', ignore_index=IGNORE, q=list(Q)))
    evaluator.dataset_meta = {'classes': CLASSES}
    for number, (one, truth) in enumerate(zip(pred, target)):
        sample = SegDataSample(metainfo={'sample_idx': number})
        sample.pred_sem_seg = PixelData(data=one.argmax(0, keepdim=True))
        sample.gt_sem_seg = PixelData(data=truth[None])
        evaluator.process({}, [sample.to_dict()])
    return losses, {name: value / 100 for name, value in evaluator.evaluate(len(labels)).items()}


def judge_keras(logits: np.ndarray, labels: np.ndarray) -> tuple[dict[str, float], dict[str, float]]:
    """``keras_plugin``: the losses, and the report metric."""
    import keras_plugin
    from segparity.demo.train_keras import report

    pred = np.ascontiguousarray(logits.transpose(0, 2, 3, 1))
    losses = {
        title: float(getattr(keras_plugin.losses, type(spec).__name__)(**spec.to_keras())(labels, pred))
        for title, spec in loss_specs().items()
    }
    return losses, report(labels, pred)


TITLES = {'numpy': 'NumPy float64', 'mmseg': 'mmseg_plugin', 'keras': 'keras_plugin'}
JUDGES = {'numpy': judge_numpy, 'mmseg': judge_mmseg, 'keras': judge_keras}


def judge(out: Path, world: str, models: str) -> None:
    """Judge the predictions of the models; writes compare/<world>.json."""
    _, labels = read_split(out, 'val')
    found = {}
    for model in models.split(','):
        losses, metrics = JUDGES[world](read_logits(out, model), labels.astype(np.int64))
        found[model] = {'losses': with_total(losses), 'metrics': {name: float(metrics[name]) for name in METRICS}}
    write_json(out / 'compare' / f'{world}.json', found)


if __name__ == '__main__':
    sys.exit(child_main(judge, __doc__.splitlines()[0], world=tuple(JUDGES), models=None))
