"""Whether the losses are right and what they cost on one CUDA card: ``make gpu`` or ``python benchmarks/gpu_report.py``.

In at most eight minutes: value and gradient of every loss beside the NumPy reference, and of large logits beside float64;
time and memory beside PyTorch, MONAI, segmentation_models_pytorch and MMSegmentation where they are installed, with the
targets; how near that comes to the traffic of memory that must be; the tests marked ``gpu`` where pytest is installed.
Needs PyTorch, Triton, NumPy and this checkout. Writes one Markdown file, anew after every part. Ends with 1 where a number
is wrong or a test fails, with 2 where there is no CUDA device.
"""

import argparse
import functools
import importlib.util
import itertools
import multiprocessing
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run as a file, and nothing is installed

MINUTE = 60.0
VALUES_END, COSTS_END, TESTS_END = 2.5 * MINUTE, 5.0 * MINUTE, 7.8 * MINUTE  # after the start
PRECISIONS = 'float32', 'float64'
LARGE, LARGE_QUICK = (1, 19, 512, 512), (1, 3, 64, 64)  # numbers beside float64
SMALL_BLOCK = 24  # numbers in a block, so that the few pixels of a case are several
CHANCE = 2  # by which the largest rounding error of one way may exceed that of another
TWICE_AND_ONCE = 3  # the logits are read forward and backward, the gradient is written


class Report:
    """The file, written anew whenever a part is added; ``wrong`` are sentences."""

    def __init__(self, path, device, is_quick):
        self.path, self.device, self.is_quick = path, device, is_quick
        self.start, self.parts, self.wrong = time.monotonic(), [], []

    def add(self, *parts):
        self.parts += [part for part in parts if part]
        self.path.write_text('\n\n'.join(self.parts) + '\n', encoding='utf-8')

    def is_over(self, end):
        return time.monotonic() - self.start > end


def main(arguments=None):
    options = parse_arguments(arguments)
    missing = [name for name in ('torch', 'numpy') if importlib.util.find_spec(name) is None]
    if missing:
        return refuse(f'needs {" and ".join(missing)}, which this Python has not: {sys.executable}')
    import torch

    if options.device == 'cuda' and not torch.cuda.is_available():
        return refuse(f'needs a CUDA device, and PyTorch {torch.__version__} finds none; nothing was measured')
    report = Report(options.out, options.device, options.quick)
    report.add('# On a GPU', facts(report))
    check_values(report)
    check_large(report)
    measure_costs(report)
    run_tests(report)
    report.add(f'Took {(time.monotonic() - report.start) / MINUTE:.1f} minutes.')
    print('\n'.join([*report.wrong, str(report.path)]), flush=True)
    return 1 if report.wrong else 0


def refuse(sentence):
    print(f'gpu_report: {sentence}', file=sys.stderr)
    return 2


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(prog='gpu_report', description=__doc__.split('\n\n')[0])
    parser.add_argument('--out', type=pathlib.Path, default=pathlib.Path('gpu_report.md'), help='(gpu_report.md)')
    parser.add_argument('--device', default='cuda', help=argparse.SUPPRESS)  # cpu: whether it runs
    parser.add_argument('--quick', action='store_true', help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def facts(report):
    """Card, versions and commit."""
    import torch

    from benchmarks import machine

    card = torch.cuda.get_device_name() if report.device == 'cuda' else 'no card: a dry run, whose times mean nothing'
    found = machine.versions()
    lines = {
        'card': card,
        'commit': machine.commit(),
        'PyTorch': f'{torch.__version__}, CUDA {torch.version.cuda}',
        'Triton': 'installed' if importlib.util.find_spec('triton') else '**not installed**: no kernels',
        'Python': platform.python_version(),
        'packages': ', '.join(f'{name} {version}' for name, version in found.items()),
        'not installed': ', '.join(name for name in machine.PACKAGES if name not in found) or 'nothing',
    }
    return '\n'.join(f'- {name}: {text}' for name, text in lines.items())


def check_values(report):
    """Every loss on every input of its parity check, as it runs by itself and in blocks, beside the reference."""
    from benchmarks import area, tables
    from segparity.parity import ways
    from shared_spec import LOSSES

    rows, left = [], []
    plans = {name: ways.plan(name)[:: 12 if report.is_quick else 1] for name in LOSSES}
    spawned = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(len(area.usable_cores()), mp_context=spawned) as pool:
        wanted = {(name, *pair): pool.submit(reference, name, *pair) for name in plans for pair in plans[name]}
        for k, (name, plan) in enumerate(plans.items(), 1):
            worst, wrong, number = {}, [], 0
            for example, case in plan:
                if report.is_over(VALUES_END * k / len(plans)):
                    left.append(f'{name} ({len(plan) - number} of {len(plan)})')
                    break
                errors = compare_case(report, name, example, case, wanted[name, example, case].result())
                number += 1
                wrong += [f'{name}, {example}, {case}, {how}: {why}' for how, why in errors.pop('wrong').items()]
                for key, error in errors.items():
                    worst[key] = max(worst.get(key, 0.0), error)
            report.wrong += wrong
            cells = [f'{worst.get((p, part), float("nan")):.0e}' for p in PRECISIONS for part in ('value', 'gradient')]
            rows.append([name, f'{number}', *cells, f'**{len(wrong)}**' if wrong else '0'])
        pool.shutdown(cancel_futures=True)
    head = ['loss', 'inputs', *(f'{p}, {part}' for p in PRECISIONS for part in ('value', 'gradient')), 'wrong']
    report.add(
        '## Value and gradient beside the NumPy reference',
        'Largest error over the inputs of `segparity check`, as a loss runs by itself and once more with the fused '
        'operators on, in blocks of a few pixels.',
        tables.table(head, rows),
        f'Not compared, for want of time: {", ".join(left)}.' if left else '',
        '\n'.join(f'- **wrong**: {sentence}' for sentence in report.wrong),
    )


def inputs_of(name, example, case_name):
    """The case, and the loss's spec on it."""
    from segparity.parity import cases, replay
    from shared_spec import LOSSES

    case = cases.build(case_name)
    spec = replay.spec_for(LOSSES[name], LOSSES[name].examples[example], case)
    return case.adapted(spec), spec


def reference(name, example, case_name):
    """The NumPy reference's value, and its gradient by central differences; in a process beside this one."""
    from segparity.parity import replay

    case, spec = inputs_of(name, example, case_name)
    return replay.reference(spec, case)


def compare_case(report, name, example, case_name, wanted):
    """(precision, part) -> error; 'wrong' -> how it ran -> what is wrong. wanted: see ``reference``."""
    from mmseg_plugin.kernels import pixel_sums
    from mmseg_plugin.kernels.overlap import choice
    from segparity.parity import tolerances, torch_side

    case, spec = inputs_of(name, example, case_name)
    want, slope = wanted
    arrays = {key: array for key, array in case.arrays.items() if array is not None}
    call = dict(loss=spec.to_dict(), ignore_index=case.call_ignore_index, device=report.device)
    found = {'wrong': {}}
    for mode, precision in itertools.product((choice.MODE, 'fused'), PRECISIONS):
        how = f'{"in blocks" if mode == "fused" else "by itself"}, {precision}'
        block = SMALL_BLOCK if mode == 'fused' else pixel_sums.BLOCK_OF_DEVICE
        try:
            with mock.patch.object(choice, 'MODE', mode), mock.patch.object(pixel_sums, 'BLOCK_OF_DEVICE', block):
                _, got = torch_side.value_and_gradient(arrays, dtype=precision, **call)
        except Exception as error:
            found['wrong'][how] = f'fails: {first_line(error)}'
            continue
        errors = {'value': tolerances.value_error(got['value'], want)}
        if slope is not None:
            errors['gradient'] = tolerances.gradient_error(got['gradient'], slope)
        allowed = {'value': tolerances.VALUE[precision], 'gradient': tolerances.GRADIENT[precision]}
        for part, error in errors.items():
            found[precision, part] = max(found.get((precision, part), 0.0), error)
            if not error <= allowed[part]:
                found['wrong'][how] = f'{part} off by {error:.1e}, allowed {allowed[part]:.0e}'
    return found


def first_line(error):
    return (str(error) or type(error).__name__).splitlines()[0]


def check_large(report):
    """Logits that fill several blocks, in float32, beside the plain formulas in float64 on the same device."""
    from benchmarks import accuracy, contenders, overlap, pixel, tables
    from benchmarks.peers import LeftOut
    from mmseg_plugin.kernels.overlap import choice

    shape, rows, wrong = LARGE_QUICK if report.is_quick else LARGE, [], []
    names = dict.fromkeys((*pixel.NAMES, *overlap.CATALOGUE))
    for labels in ('hard', 'soft'):
        logits, target = inputs(shape, labels, report.device)[0]
        for name in names:
            if is_theirs(name):
                continue
            try:
                loss = contenders.build(name, labels)
                found = accuracy.outcome(loss, logits, target)
                with mock.patch.object(choice, 'MODE', 'plain'):
                    plain = accuracy.outcome(loss, logits, target)
                    exact = accuracy.outcome(loss, logits.detach().double().requires_grad_(), target)
            except LeftOut:
                continue
            except Exception as error:
                wrong.append(f'{name}, {labels} labels, {shape}: fails: {first_line(error)}')
                continue
            errors, usual = difference(found, exact), difference(plain, exact)
            rows.append([f'{name}, {labels} labels', *(f'{error:.0e}' for error in (*errors, *usual))])
            if not all(got <= max(least, CHANCE * own) for got, own, least in zip(errors, usual, (1e-6, 1e-5))):
                wrong.append(f'{name}, {labels} labels, {shape}: off by {errors[0]:.1e}, gradient by {errors[1]:.1e}')
    report.wrong += wrong
    report.add(
        '## Large logits beside float64',
        f'{shape}: as a loss runs by itself, and the plain formulas in float32, both beside the plain ones in float64. '
        'Wrong is more than 1e-6 (gradient 1e-5) and more than twice what the plain ones are off.',
        tables.table(['loss', 'value', 'gradient', 'plain, value', 'plain, gradient'], rows),
        '\n'.join(f'- **wrong**: {sentence}' for sentence in wrong),
    )


def difference(found, exact):
    """Errors of (value, gradient): of max(1, the value), and of the largest gradient."""
    (value, gradient), (want, slope) = found, exact
    return abs(value - want) / max(1.0, abs(want)), ((gradient.double() - slope).abs().max() / slope.abs().max()).item()


def is_theirs(name):
    from benchmarks.contenders import PEERS

    return name.startswith((*PEERS, 'torch '))


def inputs(shape, labels, device, margin=None):
    """Two batches on the device, so that a call does not find its logits in the cache of the one before."""
    from benchmarks.batches import batch

    logits, target = (x.detach().to(device) for x in batch(shape, labels, margin=margin))
    return [(logits.requires_grad_(), target), (logits.detach().flip(-1).requires_grad_(), target.flip(-1))]


def measure_costs(report):
    """The tables of the benchmarks, from this device."""
    from benchmarks import lovasz, overlap, pixel, resize, results, tables, targets

    quick, sections = report.is_quick, []
    for labels in ('hard', 'soft'):
        shapes = pixel.QUICK[:1] if quick else pixel.SHAPES
        columns = {str(s): measure_case(report, pixel.names_for(s), s, labels) for s in shapes}
        sections.append(results.comparison(pixel.title(labels), columns, pixel.REFERENCE))
        shapes = overlap.QUICK[:1] if quick else overlap.SHAPES
        columns = {str(s): measure_case(report, overlap.NAMES, s, labels) for s in shapes}
        sections.append(results.comparison(f'Region losses, {labels} labels, float32', columns, overlap.REFERENCE))
    for title, is_hinge in (('Lovasz softmax', False), ('Lovasz hinge', True)):
        columns = {}
        for setting, (names, shape, margin) in (lovasz.QUICK if quick else lovasz.SETTINGS).items():
            if setting.startswith('hinge') == is_hinge:
                column = measure_case(report, names.values(), shape, 'hard', margin)
                renamed = {name: key for key, name in names.items()}
                columns[f'{setting}, {shape}'] = results.rename(column, renamed)
        sections.append(results.comparison(title, columns, lovasz.OURS))
    if importlib.util.find_spec('mmseg') and not quick:
        columns = {resize.case_name(*where): measure_heads(report, *where) for where in resize.CASES}
        sections.append(results.comparison(resize.TITLE, columns, resize.RECIPE, unit='full-size logits'))
    report.add('## Targets', targets.table(dict(gpu=sections)) or 'Of no shape that was measured.')
    report.add('## Time and memory', 'Forward and backward; memory is the peak of a step above its inputs.')
    for section in sections:
        report.add(f'### {section["title"]}', tables.markdown(section))
    add_traffic(report, sections)


def measure_case(report, names, shape, labels, margin=None):
    """Contenders in turns: the seconds of each round and the peaks, as ``results.case``."""
    from benchmarks import contenders, overlap, results

    if report.is_over(COSTS_END):
        return results.case({}, unit_bytes=overlap.unit_bytes(shape), left_out=dict.fromkeys(names, 'no time was left'))
    losses, left_out = {}, {}
    small = inputs((1, shape[1], *(16,) * (len(shape) - 2)), labels, report.device)[0]
    for name in names:
        try:
            losses[name] = contenders.build(name, labels)
            contenders.step(losses[name], *small)
        except contenders.LeftOut as reason:
            left_out[name] = str(reason)
        except Exception as error:
            left_out[name] = f'fails: {first_line(error)}'
            if not is_theirs(name):
                report.wrong.append(f'{name}, {shape}, {labels} labels: {left_out[name]}')
    losses = {name: losses[name] for name in losses if name not in left_out}
    return time_in_rounds(report, losses, inputs(shape, labels, report.device, margin), shape, left_out)


def measure_heads(report, shape, scale):
    """Heads whose logits are smaller than the labels: the host's way and the fused one (resize.py)."""
    import torch

    from benchmarks import overlap, resize, results

    if report.is_over(COSTS_END):
        left_out = dict.fromkeys(resize.names(), 'no time was left')
        return results.case({}, unit_bytes=overlap.unit_bytes(shape), left_out=left_out)
    n, c, height, width = shape
    labels = [sample.to(report.device) for sample in resize.samples(shape)]
    size = n, c, height // scale, width // scale
    batches = [(torch.randn(size, device=report.device, requires_grad=True), labels) for _ in range(2)]

    def sum_losses(head, *given):
        return sum(value for name, value in head.loss_by_feat(*given).items() if 'loss' in name)

    heads = {name: functools.partial(sum_losses, resize.build_head(name, c)) for name in resize.names()}
    return time_in_rounds(report, heads, batches, shape, {})


def time_in_rounds(report, losses, batches, shape, left_out):
    """Losses of (logits, target) in turns, as ``results.case``; who fails joins those left out."""
    import torch

    from benchmarks import overlap, results

    seconds, peaks, calls = {}, {}, {}
    for name, loss in losses.items():
        try:
            once, peaks[name] = first_step(report, loss, batches)
        except Exception as error:  # of memory, for one
            left_out[name] = f'fails at {shape}: {first_line(error)}'
            if not (is_theirs(name) or isinstance(error, torch.cuda.OutOfMemoryError)):
                report.wrong.append(f'{name}: {left_out[name]}')
            continue
        calls[name] = 1 if report.device == 'cpu' else max(1, min(20, round(0.05 / once)))
        seconds[name] = []
    for _ in range(1 if report.is_quick else 5):
        for name, found in seconds.items():
            found.append(time_steps(report, losses[name], batches, calls[name]))
    peaks = {name: peak for name, peak in peaks.items() if name in seconds and peak is not None}
    return results.case(seconds, peaks, overlap.unit_bytes(shape), left_out)


def first_step(report, loss, batches):
    """Seconds of a warm step, and the bytes at its peak above its inputs: None but on CUDA."""
    import torch

    time_steps(report, loss, batches, 1)
    if report.device == 'cpu':
        return time_steps(report, loss, batches, 1), None
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    once = time_steps(report, loss, batches, 1)
    return once, torch.cuda.max_memory_allocated() - before


def time_steps(report, loss, batches, calls):
    """Seconds of a step, the mean over ``calls`` in a row on alternating batches."""
    wait(report)
    start = time.perf_counter()
    for logits, target in itertools.islice(itertools.cycle(batches), calls):
        loss(logits, target).backward()
        logits.grad = None
    wait(report)
    return (time.perf_counter() - start) / calls


def wait(report):
    import torch

    if report.device == 'cuda':
        torch.cuda.synchronize()


def bandwidth(report):
    """Bytes that a large copy reads and writes in a second."""
    import torch

    source = torch.ones(2**16 if report.is_quick else 2**28, device=report.device)
    target, times = torch.empty_like(source), []
    for _ in range(10):
        wait(report)
        start = time.perf_counter()
        target.copy_(source)
        wait(report)
        times.append(time.perf_counter() - start)
    return 2 * source.numel() * 4 / statistics.median(times[1:])


def add_traffic(report, sections):
    """How near each contender comes to the bytes that must move."""
    from benchmarks import tables

    rate = bandwidth(report)
    report.add(
        '## Fraction of the traffic limit',
        f'The limit is the time in which a copy of this device, {rate / 1e12:.2f} TB/s, moves the logits twice and the '
        'gradient once. A cell: that limit as a fraction of the time that was measured.',
    )
    for section in sections:
        cases = {case: column for case, column in section['cases'].items() if column['seconds']}
        limits = {case: TWICE_AND_ONCE * column['unit_bytes'] / rate for case, column in cases.items()}
        head = ['limit / time', *(f'{case}: {1e3 * limit:.3f} ms' for case, limit in limits.items())]
        rows = [
            [name, *(fraction(column['seconds'].get(name), limits[case]) for case, column in cases.items())]
            for name in tables.sort_names(section)
        ]
        report.add(f'### {section["title"]}: traffic', tables.table(head, rows))


def fraction(times, limit):
    return f'{limit / statistics.median(times):.3f}' if times else ''


def run_tests(report):
    """The tests marked ``gpu``, in what is left of the time."""
    report.add('## Tests marked `gpu`')
    if importlib.util.find_spec('pytest') is None:
        report.add('Not run: pytest is not installed.')
        return
    files = [str(file) for file in sorted((ROOT / 'tests').rglob('test_*.py')) if 'mark.gpu' in file.read_text('utf-8')]
    command = [sys.executable, '-m', 'pytest', '-q', '-m', 'gpu', '-p', 'no:cacheprovider']
    command += ['--collect-only', *files[-1:]] if report.is_quick else files
    end = max(10.0, report.start + TESTS_END - time.monotonic())
    environment = os.environ | dict(PYTHONPATH=os.pathsep.join([str(ROOT), *sys.path]))
    with tempfile.TemporaryFile('w+') as said:
        try:
            status = subprocess.run(
                command, cwd=ROOT, env=environment, stdout=said, stderr=subprocess.STDOUT, timeout=end
            ).returncode
        except subprocess.TimeoutExpired:
            status = None
        said.seek(0)
        lines = said.read().strip().splitlines()
    if status is None:
        report.wrong.append(f'the tests marked gpu were stopped after {end:.0f} s')
    elif status:
        report.wrong.append(f'pytest -m gpu ended with status {status}')
    report.add(
        '\n'.join(['```', *lines[-1 if status == 0 else -40 :], '```']), *report.wrong[-1:] if status != 0 else ()
    )


if __name__ == '__main__':
    sys.exit(main())
