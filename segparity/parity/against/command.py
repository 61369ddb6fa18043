"""``segparity check NAME --against MODULE:FUNCTION``: a table of cases, and sentences."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from segparity.as_json import print_json
from segparity.parity.against.comparison import GRADIENT, VALUE, Comparison, compare
from segparity.parity.against.inputs import built_in, channels_for, of_data
from segparity.parity.against.opponents import Opponent, opponent
from segparity.parity.against.words import sentences
from segparity.parity.cases import Case
from segparity.parity.configurations import on_data
from segparity.terminal import say
from shared_spec import LossSpec


def against(
    target: str,
    specs: Mapping[str, LossSpec],
    case: Case | None,
    channels: int | None,
    console: Console,
    as_json: bool,
    remarks: list[str],
) -> int:
    """Compares every loss with an opponent; 0 where each is the same wherever it was compared, else 1."""
    other = opponent(target)
    found = [one for label, spec in specs.items() for one in comparisons(label, spec, other, case, channels)]
    if as_json:
        print_json(console, 'check --against', as_found(target, found, remarks))
    else:
        for text in remarks:
            console.print(text, style='yellow', markup=False, highlight=False, soft_wrap=True)
        for one in found:
            if one.meetings:
                console.print(table(one))
            for text in sentences(one):
                say(console, text)
    return 0 if all(one.ok for one in found) else 1


def comparisons(
    label: str, spec: LossSpec, other: Opponent, case: Case | None, channels: int | None
) -> list[Comparison]:
    """On the user's data, or on built-in cases of each number of channels; those that it cannot take last."""
    if case is not None:
        own, given = on_data(spec, case)
        return [compare(label, own, other, of_data(given))]
    found = [compare(label, spec, other, built_in(spec, c)) for c in channels_for(spec, channels)]
    taken = [one for one in found if not one.refused]
    return taken or found[:1]


def table(found: Comparison) -> Table:
    shown = Table(
        title=f'{found.name} against {found.opponent}, {found.channels} channel{"s" * (found.channels > 1)}',
        title_justify='left', box=None, padding=(0, 2, 0, 0),
    )  # fmt: skip
    for column in ('case', 'ours', 'theirs', 'value', 'gradient', ''):
        shown.add_column(
            column, justify='right' if column in ('ours', 'theirs', 'value', 'gradient') else 'left', no_wrap=True
        )
    for m in found.meetings:
        gradient = '' if m.gradient_difference is None else f'{m.gradient_difference:.1e}'
        verdict = '[green]ok[/]' if m.ok else '[red]DIFFERS[/]'
        shown.add_row(m.case_name, f'{m.ours:.7g}', f'{m.theirs:.7g}', f'{m.difference:.1e}', gradient, verdict)
    return shown


def as_found(target: str, found: list[Comparison], remarks: list[str]) -> dict[str, Any]:
    """What ``--json`` prints; the keys are those of docs/check.md."""
    return dict(
        ok=all(one.ok for one in found),
        against=target,
        comparisons=[
            dict(
                name=one.name,
                configuration=one.spec.to_dict(),
                channels=one.channels,
                ok=one.ok,
                convention=one.convention,
                refused=one.refused,
                not_compared=one.not_taken,
                cases=[
                    dict(
                        case=m.case_name,
                        ours=m.ours,
                        theirs=m.theirs,
                        value_error=m.difference,
                        gradient_error=m.gradient_difference,
                        ok=m.ok,
                        error=m.error,
                    )
                    for m in one.meetings
                ],
                sentences=sentences(one),
            )
            for one in found
        ],
        tolerances=dict(value=VALUE, gradient=GRADIENT),
        remarks=remarks,
    )
