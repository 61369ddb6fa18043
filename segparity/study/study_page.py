"""The study's page: one HTML file with everything in it."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from segparity.demo.demo_page import raised
from segparity.pages.shell import encoded, page_html
from segparity.study.conditions import CONDITIONS, PAIRS
from segparity.study.figures import confidence_figure, difference_figure, landscape_figure
from segparity.study.judging import MEASURES
from segparity.study.landscapes import SHOWN
from segparity.study.pictures import class_legend
from segparity.study.settings import UNCLEAR
from segparity.study.summary import verdict
from segparity.study.terminal import shown
from shared_spec.files import replacing

DRAWN = ('mIoUD', 'softDice')  # measures whose differences are drawn


def write_page(path: Path, results: Mapping[str, Any]) -> None:
    """Write the page of what ``results_of`` gave."""
    filters: dict[str, Callable[..., Any]] = dict(raised=raised, shown=shown, verdict=verdict)
    text = page_html('segparity.study', 'study_page', page_values(results), filters)
    with replacing(path) as part:
        part.write_bytes(encoded(text))


def page_values(results: Mapping[str, Any]) -> dict[str, Any]:
    """What the template needs."""
    from markupsafe import Markup

    return {
        'results': results,
        'settings': results['settings'],
        'measures': MEASURES,
        'conditions': CONDITIONS,
        'unclear': UNCLEAR,
        'landscape': Markup(landscape_figure(results['landscape'])),
        'lowest': {title: results['landscape']['lowest'][name] for name, title in SHOWN.items()},
        'parts': [part_of(name, results) for name in results['summary']],
        'sentences': list(sentences(results)),
    }


def part_of(name: str, results: Mapping[str, Any]) -> dict[str, Any]:
    """What the page says of one data set."""
    from markupsafe import Markup

    facts, found = results['data'][name], results['summary'][name]
    title = facts['title']
    drawn = [confidence_figure(name, 'confidence where unclear', mean_histograms(name, results), facts['histogram'])]
    for measure in DRAWN:
        drawn.append(difference_figure(name, title, measure, MEASURES[measure][0], found['differences']))
    pictures = [
        (CONDITIONS[record['condition']].title, record['picture'])
        for record in results['runs']
        if record['data'] == name and record['picture']
    ]
    return {
        'name': name,
        'facts': facts,
        'found': found,
        'figures': [Markup(text) for text in drawn],
        'legend': class_legend(facts['classes']),
        'pictures': [*facts['pictures'].items(), *pictures],
    }


def mean_histograms(name: str, results: Mapping[str, Any]) -> dict[str, list[float]]:
    """Condition -> the mean histogram of its seeds."""
    found = {}
    for condition in CONDITIONS:
        rows = [r['histogram'] for r in results['runs'] if r['data'] == name and r['condition'] == condition]
        if rows:
            found[condition] = [sum(column) / len(rows) for column in zip(*rows)]
    return found


def sentences(results: Mapping[str, Any]) -> Iterator[str]:
    """For each pair: in how many data sets each measure came out better, worse, or open."""
    for one, other in PAIRS.values():
        counts: dict[str, dict[str, int]] = {}
        for part in results['summary'].values():
            for pair in part['differences']:
                if (pair['one'], pair['other']) == (one, other):
                    for measure, (_, _, better) in MEASURES.items():
                        if better:
                            told = verdict(pair['measures'][measure], better)
                            counts.setdefault(told, {}).setdefault(measure, 0)
                            counts[told][measure] += 1
        told = '; '.join(
            f'{word} in ' + ', '.join(f'{MEASURES[m][0]} ({n})' for m, n in counts[word].items())
            for word in ('better', 'worse', 'open')
            if word in counts
        )
        if told:
            yield f'{CONDITIONS[one].title} against {CONDITIONS[other].title}: {told}.'
