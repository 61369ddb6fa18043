"""``segparity check``: the parity table in the terminal."""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from segparity.as_json import print_json
from segparity.parity import Row, check_parity
from segparity.parity.against.command import against
from segparity.parity.against.libraries import LIBRARIES, against_library
from segparity.parity.cases import Case
from segparity.parity.configurations import read_configurations, shared
from segparity.parity.data import read_case
from segparity.parity.frameworks import FRAMEWORKS, installed_frameworks, missing_sentence
from segparity.parity.models.command import models
from segparity.parity.tolerances import GRADIENT, VALUE
from segparity.terminal import standard_error
from shared_spec import LOSSES, LossSpec
from shared_spec.registry import unknown_name


@contextlib.contextmanager
def progress_of(console: Console) -> Iterator[Callable[[int, int, str], None]]:
    """A callback (done, total, text): a bar on a terminal, else a line on stderr at each tenth."""
    if not console.is_terminal:
        yield Tenths()
        return
    columns = TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task('starting', total=None)
        yield lambda done, total, text: bar.update(task, completed=done, total=total, description=text)


class Tenths:
    """Prints how far it is whenever another tenth is done."""

    tenth = 0

    def __call__(self, done: int, total: int, text: str) -> None:
        if 10 * done // total > self.tenth:
            self.tenth = 10 * done // total
            print(f'segparity check: {done} of {total}, {text}', file=sys.stderr, flush=True)


def check(options: argparse.Namespace, console: Console) -> int:
    """Checks, prints one row per loss, framework, way and precision; returns 1 where something disagrees."""
    for framework in options.framework or ():
        if framework not in FRAMEWORKS:
            raise unknown_name('framework', framework, list(FRAMEWORKS))
        if missing_sentence(framework):
            raise RuntimeError(missing_sentence(framework))
    if options.model_a or options.model_b:
        return of_models(options, console)
    if options.layout_b:
        raise ValueError('--layout-b is of --model-b, which is not given')
    remarks: list[str] = []
    configs, case = given(options, remarks.append)
    if options.against:
        specs = compared(options, configs, case)
        if options.against in LIBRARIES:
            if case is not None or options.channels:
                raise ValueError(
                    f'--against {options.against} compares on pictures of its own: leave out --data and --channels'
                )
            return against_library(options.against, specs, console, options.json)
        return against(options.against, specs, case, options.channels, console, options.json, remarks)
    if options.channels:
        raise ValueError('--channels is of the built-in cases of --against, which is not given')
    missing = [] if options.framework else [missing_sentence(framework) for framework in FRAMEWORKS]
    left_out = [sentence for sentence in missing if sentence]
    known = len(left_out)
    with progress_of(standard_error() if options.json else console) as progress:
        rows = check_parity(
            options.name or None,
            case,
            frameworks=options.framework or installed_frameworks(),
            progress=progress,
            ways=options.way,
            notes=lambda text: (remarks if text.startswith('predictions of') else left_out).append(text),
            configs=configs or None,
        )
    if not rows:
        why = f': {"; ".join(left_out[known:])}' if left_out[known:] else ''
        raise RuntimeError(f'nothing of what was named runs here in the ways that were named{why}')
    if options.json:
        print_json(console, 'check', as_found(rows, left_out, remarks))
    else:
        print_rows(rows, left_out, remarks, console)
    return 0 if all(row.ok for row in rows) else 1


def configurations(options: argparse.Namespace) -> dict[str, LossSpec]:
    """Label -> spec of every ``--config``."""
    configs: dict[str, LossSpec] = {}
    for text in options.config or ():
        for label, spec in read_configurations(text).items():
            same = sum(known.split()[0] == label.split()[0] for known in configs)
            configs[f'{label.split()[0]} {same + 1}' if same else label] = spec
    return configs


def given(options: argparse.Namespace, say: Callable[[str], object]) -> tuple[dict[str, LossSpec], Case | None]:
    """The configurations and the data that the options name; ValueError for options that need ``--data``."""
    configs = configurations(options)
    if options.data is None:
        for option in ('layout', 'probabilities', 'ignore_index'):
            if getattr(options, option) is not None and getattr(options, option) is not False:
                raise ValueError(f'--{option.replace("_", "-")} says what --data holds, which is not given')
        return configs, None
    asked = all(not shared(spec, 'from_logits') for spec in configs.values()) if configs else False
    case = read_case(options.data, options.layout, options.probabilities or asked, options.ignore_index, say)
    return configs, case


def of_models(options: argparse.Namespace, console: Console) -> int:
    """``--model-a`` and ``--model-b``; ValueError for options that do not go with them."""
    if not (options.model_a and options.model_b):
        raise ValueError('--model-a and --model-b are given together')
    for option in ('data', 'against', 'framework', 'way', 'channels', 'probabilities'):
        if getattr(options, option):
            raise ValueError(f'--{option} does not go with --model-a and --model-b')
    losses = compared(options, configurations(options)) if options.name or options.config else {}
    layouts = options.layout, options.layout_b or options.layout
    with progress_of(standard_error() if options.json else console) as progress:
        paths = options.model_a, options.model_b
        return models(paths, layouts, options.ignore_index, losses, console, options.json, progress)


def compared(
    options: argparse.Namespace, configs: dict[str, LossSpec], case: Case | None = None
) -> dict[str, LossSpec]:
    """The losses that ``--against`` compares: those that are named, with their defaults, and configurations."""
    for option in ('framework', 'way'):
        if getattr(options, option):
            raise ValueError(f'--{option} does not go with --against, which compares with the reference')
    if options.channels and case is not None:
        raise ValueError('--channels is of built-in cases, --data has its own')
    specs: dict[str, LossSpec] = {}
    for name in options.name:
        if name not in LOSSES:
            raise unknown_name('loss', name, list(LOSSES))
        from_logits = case is None or case.from_logits
        specs[name] = (
            LOSSES[name]() if from_logits else LOSSES[name].from_keras({})
        )  # whose predictions are probabilities
    specs |= {f'{label} configured' if label in specs else label: spec for label, spec in configs.items()}
    for label, spec in specs.items():
        if not all(part.is_plain() for part in getattr(spec, 'parts', (spec,))):
            raise ValueError(f'{label}: takes more than logits and labels, which are all that is compared here')
    if not specs:
        raise ValueError('--against compares a loss that is named or given by --config; segparity recognise finds one')
    return specs


def as_found(rows: list[Row], left_out: list[str], remarks: list[str]) -> dict[str, Any]:
    """What ``--json`` prints; the keys are those of docs/check.md."""
    return dict(
        ok=all(row.ok for row in rows),
        compared=len(rows),
        differing=sum(not row.ok for row in rows),
        rows=[
            dict(
                name=row.name,
                framework=row.framework,
                way=row.way,
                precision=row.dtype,
                cases=row.cases,
                value_error=row.value_error,
                gradient_error=row.grad_error,
                ok=row.ok,
                worst=row.worst,
                error=row.error,
            )
            for row in rows
        ],
        tolerances={dtype: dict(value=VALUE[dtype], gradient=GRADIENT[dtype]) for dtype in VALUE},
        left_out=left_out,
        remarks=remarks,
    )


def print_rows(rows: list[Row], left_out: list[str], remarks: list[str], console: Console) -> None:
    """The table, and sentences before and after it."""
    for sentence in [*(f'left out: {text}' for text in left_out), *remarks]:
        console.print(sentence, style='yellow', markup=False, highlight=False, soft_wrap=True)
    console.print(table(rows))
    for row in rows:
        if row.error:
            console.print(
                f'{row.name} in {row.framework} {row.way} ({row.worst}): {row.error}', style='red', markup=False
            )
    wrong = sum(not row.ok for row in rows)
    console.print(
        f'{len(rows) - wrong} of {len(rows)} agree; allowed: value {VALUE["float32"]:g} of max(1, |value|), gradient '
        f'{GRADIENT["float32"]:g} of the largest, in float64 {VALUE["float64"]:g} and {GRADIENT["float64"]:g}'
    )


def table(rows: Iterable[Row]) -> Table:
    found = Table(title='Against the NumPy float64 reference', title_justify='left', box=None, padding=(0, 2, 0, 0))
    columns: tuple[tuple[str, JustifyMethod], ...] = (
        ('name', 'left'), ('framework', 'left'), ('way', 'left'), ('precision', 'left'), ('cases', 'right'),
        ('value', 'right'), ('gradient', 'right'), ('', 'left'),
    )  # fmt: skip
    for column, justify in columns:
        found.add_column(column, justify=justify, no_wrap=True)
    for row in rows:
        verdict = '[green]ok[/]' if row.ok else f'[red]DIFFERS[/] {escape(f"({row.worst})")}'
        found.add_row(
            row.name,
            row.framework,
            row.way,
            row.dtype,
            str(row.cases),
            f'{row.value_error:.1e}',
            f'{row.grad_error:.1e}',
            verdict,
        )
    return found
