"""``python -m mmseg_plugin recalibration_keys CONFIG CHECKPOINT KEYS.npz``: pixels by which a teacher is recalibrated.

The model predicts the images of a data loader of its configuration, best of images that it has not trained on, and pixels
of each class are drawn from them, with what it predicts there. ``DistilledSegmentor`` takes the file.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import Tensor

from mmseg_plugin.soft_labels.teacher import Teacher, build_teacher, heads_in, model_config
from shared_spec.files import without_owner
from shared_spec.recalibration import DirichletRecalibration, KeySampler

PROGRAM = 'python -m mmseg_plugin recalibration_keys'
LOADERS = ('val', 'test')


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(PROGRAM, description=(__doc__ or '').partition('\n\n')[2])
    made.add_argument('config', help='the configuration of the teacher')
    made.add_argument('checkpoint', help='its weights')
    made.add_argument('keys', help='the file to write, .npz')
    made.add_argument('--images', choices=LOADERS, default='val', help='whose data loader (default: val)')
    made.add_argument('--keys-per-class', type=int, default=64, metavar='K', help='pixels of each class (default: 64)')
    made.add_argument('--seed', type=int, default=0, help='of what is drawn (default: 0)')
    made.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    made.add_argument('--cfg-options', nargs='+', action=DictAction, help='changes of the configuration, name=value')
    return made


def main(arguments: Sequence[str]) -> int:
    given = parser().parse_args(arguments)
    path = Path(given.keys)
    try:
        found = draw(given)
        DirichletRecalibration(**found.keys()).save(path)
    except (OSError, TypeError, ValueError) as error:
        print(f'{PROGRAM}: {without_owner(str(error))}', file=sys.stderr)
        return 2
    for c, (ranks, _rows) in enumerate(found.kept):
        print(f'class {c}: {len(ranks)} keys of {found.seen[c]} pixels')
    print(f'wrote {path}')
    return 0


def draw(given: argparse.Namespace) -> KeySampler:
    """The keys of all images of the data loader."""
    if Path(given.keys).suffix.lower() != '.npz':
        raise ValueError(f'keys must be a file with the suffix .npz, got {given.keys!r}')
    if not os.path.isfile(given.config):
        raise FileNotFoundError(f'config must be an existing file, got {given.config!r}')
    config = Config.fromfile(given.config)
    config.merge_from_dict(given.cfg_options or {})
    init_default_scope(config.get('default_scope', 'mmseg'))
    name = f'{given.images}_dataloader'
    if not config.get(name):
        raise ValueError(f'{given.config} has no {name}')
    given_model = dict(config.model)
    if config.get('data_preprocessor'):
        given_model.setdefault('data_preprocessor', config.data_preprocessor)
    teacher = build_teacher(model_config('recalibration_keys', 'model', given_model), given.checkpoint)
    head = heads_in(teacher.network.decode_head)[-1]
    if head.out_channels < 2:
        raise ValueError('the model must predict two classes or more by a softmax, its head has one channel')
    found = KeySampler(head.out_channels, given.keys_per_class, head.ignore_index, given.seed)
    teacher.network.to(given.device)
    for batch in Runner.build_dataloader(dict(config[name])):
        for prob, labels in predicted(teacher, batch):
            found.add(prob.cpu().numpy(), labels.cpu().numpy())
    return found


@torch.no_grad()
def predicted(teacher: Teacher, batch: Any) -> list[tuple[Tensor, Tensor]]:
    """Probabilities (C, H, W) and class ids (H, W) of the images of a batch, predicted as in validation."""
    samples = teacher.network.val_step(batch)
    if not all('gt_sem_seg' in sample for sample in samples):
        raise ValueError('the data loader must give labels, its pipeline needs LoadAnnotations')
    return [(sample.seg_logits.data.float().softmax(0), sample.gt_sem_seg.data.squeeze(0)) for sample in samples]


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
