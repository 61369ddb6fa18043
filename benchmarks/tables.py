"""Sections as Markdown tables."""

import math
import statistics

from benchmarks import timing


def markdown(section):
    """One section: its table, its note, and who was left out."""
    parts = [DRAWN[section['kind']](section), section['note'], missing(section)]
    return '\n\n'.join(part for part in parts if part)


def table(head, rows):
    """Rows of strings as a Markdown table."""
    lines = [head, ['---'] * len(head), *rows]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)


def comparison(section):
    """A row for each contender, fastest first; a cell is ms (ratio; memory)."""
    cases = section['cases']
    names = sort_names(section)
    rows = [[name, *(cell(column, name, section['reference']) for column in cases.values())] for name in names]
    return table([legend(section), *cases], rows)


def legend(section):
    """What stands in a cell."""
    cases = section['cases'].values()
    inner = []
    if any(section['reference'] in case['seconds'] for case in cases):
        inner.append(f'ratio to {section["reference"]}')
    if any(case['peaks'] for case in cases):
        inner.append(f'peak memory in {section["unit"]}')
    return 'ms' + (f' ({"; ".join(inner)})' if inner else '')


def cell(case, name, reference):
    times = case['seconds'].get(name)
    if not times:
        return ''
    inner = []
    if reference in case['seconds']:
        inner.append(short(timing.ratio(times, case['seconds'][reference])))
    if name in case['peaks']:
        inner.append(short(case['peaks'][name] / case['unit_bytes']))
    text = short(timing.milliseconds(times))
    return text + (f' ({"; ".join(inner)})' if inner else '')


def sort_names(section):
    """Names from the fastest to the slowest in the first case that has them."""
    found = []
    for case in section['cases'].values():
        for name in sorted(case['seconds'], key=lambda name: timing.milliseconds(case['seconds'][name])):
            if name not in found:
                found.append(name)
    return found


def scaling(section):
    """A row for each contender, a column for each point, and how the cost grows."""
    points = section['points']
    head = [f'ms, by {section["axis"]}', *(str(point) for point in points)]
    rows = []
    for name, columns in section['seconds'].items():
        row = [name, *(short(timing.milliseconds(times)) if times else '' for times in columns)]
        rows.append(row + [exponent(points, columns)] * section['slope'])
    return table(head + ['slope'] * section['slope'], rows)


def exponent(points, columns):
    found = slope(points, columns)
    return '' if found is None else f'{found:.2f}'


def slope(points, columns, last=3):
    """b of cost = a * point ** b, fitted to the last points that were measured; None where there are fewer than two."""
    pairs = [(point, times) for point, times in zip(points, columns) if times][-last:]
    if len(pairs) < 2:
        return None
    x = [math.log(point) for point, _ in pairs]
    y = [math.log(statistics.median(times)) for _, times in pairs]
    return statistics.linear_regression(x, y).slope


def accuracy(section):
    """A row for each contender, a column for each case: error of the value; of the gradient."""
    cases = section['errors']
    names = list(dict.fromkeys(name for column in cases.values() for name in column))
    rows = [
        [name, *('; '.join(f'{error:.1e}' for error in column.get(name, ())) for column in cases.values())]
        for name in names
    ]
    return table(['error of the value; of the gradient', *cases], rows)


def ready_table(section):
    return table(section['head'], section['rows'])


def text(section):
    return section['body']


def missing(section):
    """A sentence on who was left out, and why."""
    reasons = dict(section.get('left_out', {}))
    for case in section.get('cases', {}).values():
        reasons |= case['left_out']
    if not reasons:
        return ''
    return 'Left out: ' + '; '.join(f'{name} ({why})' for name, why in reasons.items()) + '.'


def short(number):
    """Three digits."""
    if number >= 100:
        return f'{number:.0f}'
    return f'{number:.1f}' if number >= 10 else f'{number:.2f}'


DRAWN = {'comparison': comparison, 'scaling': scaling, 'accuracy': accuracy, 'plain': ready_table, 'text': text}
