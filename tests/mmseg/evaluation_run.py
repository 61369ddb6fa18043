"""A whole test run of the evaluators: ``python -m tests.mmseg.evaluation_run PICTURES OUT``, alone or under torchrun.

Rank 0 writes the results to OUT/results.json: those of MMSegmentation's Runner, which pads the shards, and those of
shards of different lengths that share an image, sound and with logits that are NaN.
"""

import json
import os
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import METRICS

import mmseg_plugin  # noqa: F401
from tests.mmseg.tiny_training import config, dataloader

EVALUATORS = {
    'overlap': dict(type='FineGrainedMetric', metrics=['mAcc', 'mIoU', 'mDice', 'mPrecision', 'mFscore'], q=[1, 5, 50]),
    'calibration': dict(type='CalibrationMetric'),
    'boundary': dict(type='BoundaryMetric', empty='diagonal', prefix='edge'),
}


def main(pictures, out):
    world = int(os.environ.get('WORLD_SIZE', '1'))
    distributed = dict(
        launcher='pytorch',
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None),
    )
    found = {}
    evaluators = [
        dict(evaluator, ignore_index=255, per_image_file=str(Path(out) / f'{name}.csv'))
        for name, evaluator in EVALUATORS.items()
    ]
    changes = dict(
        test_dataloader=dataloader(pictures, 1, endless=False),
        test_cfg=dict(type='TestLoop'),
        test_evaluator=evaluators,
        train_dataloader=None,
        train_cfg=None,
        optim_wrapper=None,
        param_scheduler=None,
        **(distributed if world > 1 else {}),
    )
    loss = dict(type='JaccardMetricLoss')
    runner = Runner.from_cfg(Config(config(pictures, Path(out) / 'work', loss, iterations=1, **changes)))
    found['runner'] = runner.test()

    samples = kept_samples(runner)
    rank = int(os.environ.get('RANK', '0'))
    cuts = {1: [(0, 7)], 2: [(0, 2), (1, 7)], 3: [(0, 1), (1, 1), (0, 7)]}[world]

    def results(collect_device):
        found = {}
        for evaluator in EVALUATORS.values():
            metric = METRICS.build(dict(evaluator, ignore_index=255, collect_device=collect_device))
            metric.dataset_meta = runner.test_dataloader.dataset.metainfo
            metric.process({}, samples[slice(*cuts[rank])])
            found.update(metric.evaluate(len(samples)))
        return found

    for collect_device in ('cpu', 'gpu') if world > 1 else ('cpu',):  # mmengine's 'gpu' is all_gather, which gloo has
        found[collect_device] = results(collect_device)
    samples[5]['seg_logits']['data'].fill_(torch.nan)  # an image that is not of rank 0
    samples[5]['pred_sem_seg']['data'].fill_(0)
    found['not_finite'] = results('cpu')
    if rank == 0:
        (Path(out) / 'results.json').write_text(json.dumps(found))
    if world > 1:
        torch.distributed.barrier()  # a rank that ends first takes its connections with it
        torch.distributed.destroy_process_group()


def kept_samples(runner):
    """The data samples of all images, in their order, on every rank."""
    model = getattr(runner.model, 'module', runner.model).eval()
    with torch.no_grad():
        batches = (dict(inputs=[s['inputs']], data_samples=[s['data_samples']]) for s in runner.test_dataloader.dataset)
        return [model.test_step(batch)[0].to_dict() for batch in batches]


if __name__ == '__main__':
    main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # gloo's threads now and then abort a process that takes itself apart
