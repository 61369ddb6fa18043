"""One of two processes: evaluates its share of the images; rank 0 writes the results of both.

'padded' is the share that mmengine's sampler gives (it repeats an image), 'uneven' shares are of different lengths
and in blocks.
"""

import json
import sys

import torch.distributed as dist
from mmengine.dataset import DefaultSampler

from tests.metrics.rules import random_images
from tests.metrics.test_fine_grained_mmseg import build, samples


def main(path):
    dist.init_process_group('gloo')
    data = samples(*random_images(30, 11, 4))
    shares = {
        'padded': list(DefaultSampler(data, shuffle=False)),
        'uneven': [0, 1, 2, 3] if dist.get_rank() == 0 else [3, 4, 5, 6, 7, 8, 9, 10],
    }
    results = {}
    for name, share in shares.items():
        for collect_device in ('cpu', 'gpu'):  # mmengine's 'gpu' is all_gather_object, which gloo runs too
            metric = build(4, collect_device=collect_device)
            for i in share:
                metric.process({}, [data[i]])
            results[f'{name} {collect_device}'] = metric.evaluate(len(data))
    if dist.get_rank() == 0:
        with open(path, 'w') as file:
            json.dump(results, file)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == '__main__':
    main(*sys.argv[1:])
