"""``segparity report``: the parity and golden tables as Markdown, for notes and documents."""

import importlib.metadata
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

from segparity.parity import check_parity
from segparity.parity import golden as vectors
from segparity.parity.frameworks import FRAMEWORKS, Worker, WorkerError, installed_frameworks
from shared_spec import LOSSES, METRICS
from shared_spec.registry import unknown_name

VERSIONS = ('numpy', 'torch', 'mmsegmentation', 'mmengine', 'mmcv-lite', 'keras', 'tensorflow-cpu', 'tensorflow', 'jax')


def report(names: Sequence[str] | None = None, golden: str | Path | None = None) -> str:
    """Markdown text: versions, worst differences per loss and framework, golden cases passed per loss and framework."""
    for name in names or ():
        if name not in (*LOSSES, *METRICS):
            raise unknown_name('loss or metric', name, [*LOSSES, *METRICS])
    parts = [versions(), parity_table(names)]
    if golden:
        parts.append(golden_table(golden, names))
    return '\n\n'.join(parts)


def versions() -> str:
    found = []
    for name in VERSIONS:
        try:
            found.append(f'{name} {importlib.metadata.version(name)}')
        except importlib.metadata.PackageNotFoundError:
            continue
    return f'Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores; ' + ', '.join(found)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ['| ' + ' | '.join(header) + ' |', '|' + '---|' * len(header)]
    return '\n'.join(lines + ['| ' + ' | '.join(row) + ' |' for row in rows])


def parity_table(names: Sequence[str] | None) -> str:
    """Worst value and gradient difference of each loss: one column per framework, way and precision."""
    rows = check_parity(names)
    columns = list(dict.fromkeys((row.framework, row.way, row.dtype) for row in rows))
    cells = {(row.name, row.framework, row.way, row.dtype): row for row in rows}
    body = []
    for name in names or (*LOSSES, *METRICS):
        found = [cells.get((name, *column)) for column in columns]
        marks = [
            '' if r is None else f'{r.value_error:.0e} / {r.grad_error:.0e}' + ('' if r.ok else ' **differs**')
            for r in found
        ]
        body.append([name, str(next(r.cases for r in found if r)), *marks])
    text = 'Value (of max(1, |value|)) / gradient (of the largest), worst over all cases, against the reference:\n\n'
    return text + table(['name', 'cases', *(' '.join(column) for column in columns)], body)


def golden_table(folder: str | Path, names: Sequence[str] | None) -> str:
    """Golden cases passed of all, value and gradient at their own tolerances, per loss and framework."""
    cases = [c for sub in ('region', 'pixel_boundary') if (Path(folder) / sub / 'index.json').is_file()
             for c in vectors.load(Path(folder) / sub, names)]  # fmt: skip
    frameworks = installed_frameworks()
    passed = {}
    for framework in frameworks:
        dtype = FRAMEWORKS[framework]['precisions'][-1]
        with Worker(framework) as worker:
            for case in cases:
                passed[case.id, framework] = _passes(case, worker, dtype)
    body = []
    for name in names or LOSSES:
        mine = [c for c in cases if type(c.spec).__name__ == name]
        if mine:
            reference = sum(vectors.is_close(_reference(c), c.loss, c.rtol, c.atol) == c.ours for c in mine)
            counts = [sum(passed[c.id, f] for c in mine) for f in frameworks]
            body.append([name, *(f'{n}/{len(mine)}' for n in (reference, *counts))])
    text = (
        'Golden cases passed (value and gradient at their own tolerances in float64, on keras_jax in float32; a record '
        'of source behaviour that the spec does not follow passes where ours differs or refuses):\n\n'
    )
    return text + table(['loss', 'numpy', *frameworks], body)


def _reference(case: vectors.Golden) -> float:
    try:
        return case.reference()
    except ValueError:
        return float('nan')


def _passes(case: vectors.Golden, worker: Worker, dtype: str) -> bool:
    try:
        agrees, error = vectors.replay(case, worker, dtype)
    except WorkerError:
        return not case.ours
    if not case.ours:
        return not agrees
    return agrees and (error is None or error <= vectors.gradient_tolerance(case, dtype))
