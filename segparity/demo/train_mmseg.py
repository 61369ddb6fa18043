"""Trains the demo's U-Net in MMSegmentation: ``python -m segparity.demo.train_mmseg --out demo_out``.

The config in `configs/demo/` as it is, with MMEngine's own Runner. What is set on top is what the comparison with
Keras needs: the same initial weights (``load_from``), the same batches (a sampler), and a record of every step.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from segparity.demo.child import child_main, read_progress
from segparity.demo.network import Plan, mmseg_state
from segparity.demo.settings import Settings, config_path, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import numpy as np
    from mmengine.config import Config


def overrides(out: Path, settings: Settings) -> dict[str, Any]:
    """What the demo sets on top of the config, as ``--cfg-options`` would."""
    record = dict(type='ProgressHook', path=str(out / 'mmseg' / 'progress.jsonl'))
    options = {
        'work_dir': str(out / 'mmseg' / 'work_dir'),
        'model.backbone.base_channels': settings.base_channels,
        'model.decode_head.in_channels': settings.base_channels,
        'model.decode_head.channels': settings.base_channels,
        'train_cfg.max_iters': settings.iterations,
        'train_cfg.val_interval': settings.val_every,
        'param_scheduler.total_steps': settings.iterations,
        'param_scheduler.eta_max': settings.peak_lr,
        'optim_wrapper.optimizer.weight_decay': settings.weight_decay,
        'default_hooks.checkpoint.interval': settings.val_every,
        'default_hooks.logger.interval': settings.val_every,
        'train_dataloader.batch_size': settings.batch,
        'custom_hooks': [dict(type='PlannedStart', out=str(out)), record],
    }
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        options[f'{loader}.dataset.data_root'] = str(out / 'data')
    return options


def demo_config(out: Path, settings: Settings) -> Config:
    """The config that runs: a Config of MMEngine."""
    from mmengine.config import Config

    cfg = Config.fromfile(config_path())
    cfg.merge_from_dict(overrides(out, settings))
    cfg.train_dataloader.sampler = dict(type='PlannedSampler', out=str(out))
    cfg.test_evaluator = [cfg.val_evaluator, dict(type='KeepLogits', path=str(out / 'mmseg' / 'val_logits.npy'))]
    return cfg


def usable_checkpoint(work_dir: Path) -> Path | None:
    """The newest checkpoint that loads, or None; a damaged one, as a kill may leave it, is removed."""
    import torch

    found = sorted(work_dir.glob('iter_*.pth'), key=lambda path: int(path.stem[5:]), reverse=True)
    for path in found:
        try:
            state = torch.load(path, map_location='cpu')
            if {'state_dict', 'optimizer', 'param_schedulers', 'message_hub'} <= set(state):
                return path
        except Exception as error:  # whatever a cut-off file makes torch raise
            print(f'{path} cannot be loaded ({type(error).__name__}), starting from an earlier state')
        path.unlink()
    return None


def write_initial_checkpoint(path: Path, settings: Settings, weights: Mapping[str, np.ndarray]) -> None:
    """The plan's weights as a checkpoint for ``load_from``."""
    import torch

    state = {
        name: torch.from_numpy(array.copy()) for name, array in mmseg_state(weights, settings.base_channels).items()
    }
    torch.save({'state_dict': state}, path)


def train(out: Path) -> None:
    import mmengine.device.utils
    from mmengine.runner import Runner

    import mmseg_plugin  # noqa: F401  first: it makes mmseg.models importable
    from segparity.demo import mmseg_parts  # noqa: F401  registers

    mmengine.device.utils.DEVICE = 'cpu'  # the same arithmetic in both worlds, on every machine
    out = out.resolve()
    settings, plan = Settings.read(out), Plan.read(out)
    cfg = demo_config(out, settings)
    work_dir = Path(cfg.work_dir)
    work_dir.mkdir(parents=True, exist_ok=True)
    checkpoint = usable_checkpoint(work_dir)
    if checkpoint is None:
        checkpoint = work_dir / 'initial.pth'
        write_initial_checkpoint(checkpoint, settings, plan.weights)
    cfg.resume, cfg.load_from = checkpoint.name != 'initial.pth', str(checkpoint)

    runner = Runner.from_cfg(cfg)
    runner.train()
    percent = runner.test()
    steps, _ = read_progress(out / 'mmseg' / 'progress.jsonl')
    write_json(
        out / 'mmseg' / 'result.json',
        {
            'metrics': {name: value / 100 for name, value in percent.items()},
            'seconds': sum(line['seconds'] for line in steps),
            'parameters': sum(p.numel() for p in runner.model.parameters()),
        },
    )


if __name__ == '__main__':
    sys.exit(child_main(train, __doc__.splitlines()[0]))
