"""What a change cost: ``python -m benchmarks.versions a036d9f [--worlds torch jax] [--rounds 9] [--steps Jaccard Lovasz]``.

The packages of that commit and those of the working tree, each in a process of its own, take the same training steps in
turns. Float32 logits, class ids in blocks with 5 % ignored unless the name says otherwise: in PyTorch on the CPU at
three shapes, in Keras at 2 x 512 x 1024 pixels and 19 classes, compiled with XLA, and on TensorFlow without it
(``eager``). Milliseconds are the fastest of the rounds; the ratio is the median of the ratios within a round.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

from benchmarks import area, results, timing
from benchmarks.batches import IGNORED

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGES = 'shared_spec', 'mmseg_plugin', 'keras_plugin'
WORLDS = 'torch', 'tensorflow', 'tensorflow eager', 'jax', 'keras torch'
SHAPES = ((2, 19, 512, 1024), (8, 2, 512, 512), (2, 4, 128, 128))
KERAS_SHAPE = (2, 512, 1024, 19)
PROBABILITIES, SOFT, WEIGHTS = 'probabilities', 'soft labels', 'pixel weights'
JACCARD, DICE = 'JaccardMetricLoss', 'SoftDiceLoss'
STEPS = {  # name -> loss, what is unlike the others, parameters
    'Jaccard': (JACCARD, None, {}),
    'Jaccard, soft labels': (JACCARD, SOFT, {}),
    'Jaccard on probabilities': (JACCARD, PROBABILITIES, dict(from_logits=False)),
    'Dice, pixel weights': (DICE, WEIGHTS, {}),
    'Dice on probabilities': (DICE, PROBABILITIES, dict(from_logits=False)),
    'Dice, sigmoid': (DICE, None, dict(activation='sigmoid')),
    'cross-entropy': ('WeightedCrossEntropyLoss', None, {}),
    'Combo': ('ComboLoss', None, {}),
    'Lovasz': ('LovaszSoftmaxLoss', None, {}),
}
SLOW = 'Combo', 'Lovasz'  # where there are many classes, and in Keras
METRIC = 'MeanIoU'


def torch_steps(names, quick):
    """Name -> function without arguments, for each shape."""
    import torch

    import mmseg_plugin  # noqa: F401  first: it makes mmseg importable beside mmcv-lite
    from benchmarks.batches import batch

    # isort: split
    from mmseg.registry import MODELS

    found = {}
    for shape in SHAPES[-1:] if quick else SHAPES:
        logits, ids = batch(shape)
        _, soft = batch(shape, 'soft')
        weights = torch.rand(ids.shape, generator=torch.Generator().manual_seed(0))
        shares = logits.detach().softmax(1).requires_grad_()
        for name in names:
            kind, unlike, parameters = STEPS[name]
            if name in SLOW and shape[1] > 10:
                continue
            loss = MODELS.build(dict(type=kind, **({} if unlike == SOFT else dict(ignore_index=IGNORED)), **parameters))
            x, y = shares if unlike == PROBABILITIES else logits, soft if unlike == SOFT else ids
            more = dict(weight=weights) if unlike == WEIGHTS else {}
            found[f'{name}, {shape}'] = lambda loss=loss, x=x, y=y, more=more: torch_step(loss, x, y, more)
    return found


def torch_step(loss, x, y, more):
    x.grad = None
    loss(x, y, **more).backward()


def keras_steps(names, quick, eager):
    """Name -> function without arguments, on the backend of this process."""
    from keras import ops

    from benchmarks.keras_losses import QUICK, batch, stepper
    from benchmarks.keras_metrics import compile_step
    from keras_plugin import losses, metrics

    shape = QUICK if quick else KERAS_SHAPE
    logits, ids = (ops.convert_to_tensor(x) for x in batch(JACCARD, shape))
    shares = ops.softmax(logits)
    soft = ops.softmax(ops.flip(logits, axis=1))
    found = {}
    for name in names:
        kind, unlike, parameters = STEPS[name]
        if name in SLOW or unlike == WEIGHTS:  # the step of keras_losses.py has no weights
            continue
        ignored = {} if unlike == SOFT else dict(ignore_class=IGNORED)
        loss = getattr(losses, kind)(**{'from_logits': True, **ignored, **parameters})
        x, y = shares if unlike == PROBABILITIES else logits, soft if unlike == SOFT else ids
        step = stepper(loss, eager)
        found[name] = lambda step=step, x=x, y=y: step(y, x)
    if not eager:
        metric = metrics.MeanIoU(shape[-1], from_logits=True, ignore_class=IGNORED)

        def update(y, z):
            metric.update_state(y, z)
            return ops.convert_to_tensor(metric.variables[-1].value)

        call = compile_step(update, metric.stateless_update_state, [v.value for v in metric.variables])
        found[METRIC] = lambda: call(ids, logits)
    return found


def serve(options):
    """Times the step whose name stands in a line, and answers with seconds."""
    answers = os.fdopen(os.dup(1), 'w', buffering=1)
    os.dup2(2, 1)  # whatever a framework prints is no answer
    sys.path.insert(0, str(options.packages))
    for package in PACKAGES:
        if not pathlib.Path(__import__(package).__file__).is_relative_to(options.packages):
            sys.exit(f'benchmarks: {package} is not that of {options.packages}')
    [world] = options.worlds
    make = torch_steps if world == 'torch' else lambda *x: keras_steps(*x, world.endswith('eager'))
    calls = make(options.steps, options.quick)
    repeats = {}
    for name, call in calls.items():
        call()
        repeats[name] = max(1, round(timing.SHORT / timing.seconds(call)))
    answers.write(json.dumps(list(calls)) + '\n')
    for line in sys.stdin:
        name = json.loads(line)
        answers.write(json.dumps(timing.seconds(calls[name], repeats[name])) + '\n')


class Served:
    """The packages of one version in a process of their own."""

    def __init__(self, packages, world, options):
        backend = world.split()[-1] if world.startswith('keras') else world.split()[0]
        command = [sys.executable, '-m', 'benchmarks.versions', options.commit, '--packages', str(packages)]
        command += ['--worlds', world, '--steps', *options.steps, *['--quick'] * options.quick]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env=os.environ | dict(KERAS_BACKEND=backend),
        )  # fmt: skip
        self.names = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f'benchmarks: {" ".join(self.process.args)} ended with {self.process.wait()}')
        return json.loads(line)

    def seconds(self, name):
        self.process.stdin.write(json.dumps(name) + '\n')
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(options):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for place, source in (('before', archive_commit(options.commit)), ('now', working_tree())):
            (folder / place).mkdir()
            subprocess.run(['tar', '-x', '-C', str(folder / place)], input=source, check=True)
        for world in options.worlds:
            area.say(world)
            before, now = (Served(folder / place, world, options) for place in ('before', 'now'))
            rows = []
            for name in before.names:
                found = {before: [], now: []}
                for k in range(options.rounds):
                    for version in (before, now) if k % 2 else (now, before):
                        found[version].append(version.seconds(name))
                rows.append(row(name, found[before], found[now]))
            before.close()
            now.close()
            head = ['step', f'{options.commit}, ms', 'working tree, ms', 'ratio']
            yield results.ready_table(f'{world}: {options.commit} and the working tree', head, rows)


def row(name, before, now):
    return [name, f'{1e3 * min(before):.1f}', f'{1e3 * min(now):.1f}', f'{timing.ratio(now, before):.2f}']


def archive_commit(commit):
    done = subprocess.run(['git', 'archive', commit, *PACKAGES], cwd=ROOT, capture_output=True)
    if done.returncode:
        raise SystemExit(f'benchmarks: git archive {commit}: {done.stderr.decode().strip()}')
    return done.stdout


def working_tree():
    return subprocess.run(
        ['tar', '-c', '--exclude=__pycache__', *PACKAGES], cwd=ROOT, stdout=subprocess.PIPE, check=True
    ).stdout


def main():
    parser = area.parser(__doc__)
    parser.add_argument('commit', help='what the working tree is compared with')
    parser.add_argument('--worlds', nargs='+', default=WORLDS, choices=WORLDS, metavar='WORLD', help=', '.join(WORLDS))
    parser.add_argument('--steps', nargs='+', default=list(STEPS), choices=STEPS, metavar='STEP', help='; '.join(STEPS))
    parser.add_argument('--packages', type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    serve(options) if options.packages else area.run(measure, options)


if __name__ == '__main__':
    main()
