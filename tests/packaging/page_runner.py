"""Runs the code of pages, one after the other: ``python page_runner.py WORLD[,WORLD] [page ...]`` prints what failed as JSON."""

import contextlib
import importlib.util
import io
import json
import os
import re
import shlex
import shutil
import socket
import sys
import tempfile
import traceback
import types
from pathlib import Path

from tests.packaging.page_code import ROOT, blocks_of_worlds


def main(worlds, *pages):
    failed = {}
    for page, some in blocks_of_worlds(worlds.split(','), *pages).items():
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            names = {'__name__': '__main__'}
            for block in some:
                try:
                    run(block, names)
                except Exception:
                    failed[f'{page}, line {block.line}'] = traceback.format_exc(limit=-4)
                    break
        if 'keras' in sys.modules:
            sys.modules['keras'].config.set_dtype_policy('float32')
    loaded = [name for name in ('torch', 'tensorflow', 'jax', 'keras', 'mmseg') if name in sys.modules]
    print(json.dumps(dict(failed=failed, loaded=loaded)))


def run(block, names):
    if block.language in ('console', 'bash'):
        run_shell(block.text)
        return
    code = compile('\n' * block.line + block.text, block.page, 'exec')
    if block.worlds == ('config',):
        build(block.text)
        return
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, names)
    for line in re.findall(r'print\(error\)  # (.*)', block.text):
        assert line.removesuffix('...').strip() in printed.getvalue(), f'{line!r} is not in {printed.getvalue()!r}'


def run_shell(text):
    """Runs the lines that call segparity; what a console block shows below them is what they print."""
    from segparity.cli import main as segparity

    lines = [line for line in text.replace('\\\n', ' ').splitlines() if not line.startswith('#')]
    shown = {}
    for line in lines:
        if line.removeprefix('$ ').startswith('segparity '):
            command = line.removeprefix('$ ')
            shown[command] = []
        elif line.strip():
            shown[command].append(line.rstrip())
    for command, want in shown.items():
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            assert segparity(shlex.split(command, comments=True)[1:]) == 0, command
        got = [line.rstrip() for line in printed.getvalue().splitlines() if line.strip()]
        assert not want or got == want, '\n'.join(got)


def build(text):
    """Builds what a configuration names: losses, evaluators, hooks, transforms of a pipeline."""
    from mmengine.config import Config
    from mmengine.registry import HOOKS, MODEL_WRAPPERS
    from mmseg.registry import METRICS, MODELS, TRANSFORMS

    import mmseg_plugin  # noqa: F401  registers ours, as custom_imports does

    without_backbones()
    Path('mine').mkdir(exist_ok=True)
    if not Path('_base_').exists():
        shutil.copytree(ROOT / 'configs' / '_base_', '_base_')
    Path('mine/config.py').write_text(text)
    config = Config.fromfile('mine/config.py')
    imports = config.get('custom_imports', {}).get('imports', ['mmseg_plugin'])
    heads = [part for part in config.get('model', {}).values() if isinstance(part, dict) and 'loss_decode' in part]
    built = [MODELS.build(loss) for head in heads for loss in as_list(head['loss_decode'])]
    whole = dict(in_channels=8, channels=8, num_classes=4, num_convs=1)
    branched = [part for part in config.get('model', {}).values() if isinstance(part, dict) and 'branches' in part]
    built += [MODELS.build(dict(head, **whole)) for head in branched]
    built += [METRICS.build(evaluator) for evaluator in as_list(config.get('val_evaluator', []))]
    built += [HOOKS.build(hook) for hook in config.get('default_hooks', {}).values()]
    built += [TRANSFORMS.build(step) for step in config.get('train_pipeline', [])]
    built += [MODEL_WRAPPERS.get(config[key].type) for key in ('model_wrapper_cfg',) if key in config]
    assert built and 'mmseg_plugin' in imports


def without_backbones():
    """Where MMPretrain is not installed, its import is empty: only losses and evaluators are built here."""
    if 'mmpretrain' not in sys.modules and importlib.util.find_spec('mmpretrain') is None:
        for name in ('mmpretrain', 'mmpretrain.models'):
            sys.modules.setdefault(name, types.ModuleType(name))


def as_list(x):
    return x if isinstance(x, list) else [x]


def one_process():
    """The environment that torchrun would give to a single process."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    os.environ.update(RANK='0', WORLD_SIZE='1', MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))


if __name__ == '__main__':
    if 'torch' in sys.argv[1]:
        one_process()
    main(*sys.argv[1:])
