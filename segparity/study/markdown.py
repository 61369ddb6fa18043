"""The tables of a finished study as Markdown: ``python -m segparity.study.markdown soft_labels.json``."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segparity.study.judging import MEASURES
from segparity.study.summary import number, verdict
from segparity.study.terminal import shown


def tables(results: Mapping[str, Any]) -> str:
    """For each data set its conditions, and the paired differences, in per cent, of the results as their JSON has them."""
    titles = results['conditions']
    return '\n'.join(line for name, part in results['summary'].items() for line in of_data(results, titles, name, part))


def of_data(results: Mapping[str, Any], titles: Mapping[str, str], name: str, part: Mapping[str, Any]) -> Iterator[str]:
    heads = [title for title, _, _ in MEASURES.values()]
    yield f'### {results["data"][name]["title"]}\n'
    yield f'| | {" | ".join(heads)} |\n|---|{"---|" * len(heads)}'
    for condition, measures in part['conditions'].items():
        cells = [shown(number(measures[m]['mean']), number(measures[m]['spread'])) for m in MEASURES]
        yield f'| {titles[condition]} | {" | ".join(cells)} |'
    yield f'\n| difference | {" | ".join(heads)} |\n|---|{"---|" * len(heads)}'
    for pair in part['differences']:
        cells = [difference(pair['measures'][m], better) for m, (_, _, better) in MEASURES.items()]
        yield f'| {titles[pair["one"]]} less {titles[pair["other"]]} | {" | ".join(cells)} |'
    yield ''


def difference(found: Mapping[str, Any], better: int) -> str:
    """'+0.8 (0.2 to 1.4)', in bold where the interval leaves out 0; better says whether more is better, worse or neither."""
    values = {key: number(found[key]) for key in ('mean', 'low', 'high')}
    if any(value != value for value in values.values()):
        return '–'
    text = f'{100 * values["mean"]:+.1f} ({100 * values["low"]:.1f} to {100 * values["high"]:.1f})'
    return text if verdict(values, better) == 'open' else f'**{text}**'


def main(path: str) -> None:
    print(tables(json.loads(Path(path).read_text(encoding='utf-8'))))


if __name__ == '__main__':
    if len(sys.argv) != 2:
        sys.exit('usage: python -m segparity.study.markdown soft_labels.json')
    main(sys.argv[1])
