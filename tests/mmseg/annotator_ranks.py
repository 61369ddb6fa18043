"""AnnotatorMetric over gloo: ``python -m tests.mmseg.annotator_ranks OUT``, alone or under torchrun.

Rank 0 writes to OUT/results.json what shards of different lengths, which share images, give together.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
from mmseg.registry import METRICS

import mmseg_plugin  # noqa: F401

CUTS = {1: [(0, 7)], 2: [(0, 2), (1, 7)], 3: [(0, 3), (1, 1), (0, 7)]}


def samples():
    """Seven images of three annotators; all of the last is ignored."""
    rng = np.random.default_rng(0)
    for number in range(7):
        maps = rng.integers(0, 3, (3, 6, 8)) if number < 6 else np.full((3, 6, 8), 255)
        yield dict(
            img_path=f'{number}.png',
            seg_logits=dict(data=torch.tensor(rng.normal(size=(3, 6, 8)))),
            gt_annotators=dict(data=torch.tensor(maps)),
            annotator_numbers=[0, 1, 2],
        )


def main(out):
    world, rank = (int(os.environ.get(name, default)) for name, default in (('WORLD_SIZE', '1'), ('RANK', '0')))
    if world > 1:
        torch.distributed.init_process_group('gloo')
    found = {}
    for collect_device in ('cpu', 'gpu') if world > 1 else ('cpu',):  # mmengine's 'gpu' is all_gather, which gloo has
        metric = METRICS.build(dict(type='AnnotatorMetric', collect_device=collect_device))
        metric.process(None, list(samples())[slice(*CUTS[world][rank])])
        found[collect_device] = metric.evaluate(7)
    if rank == 0:
        (Path(out) / 'results.json').write_text(json.dumps(found))
    if world > 1:
        torch.distributed.barrier()  # a rank that ends first takes its connections with it
        torch.distributed.destroy_process_group()


if __name__ == '__main__':
    main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # gloo's threads now and then abort a process that takes itself apart
