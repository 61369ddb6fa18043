"""The plots of an area, PNG: dots for contenders side by side, lines for what grows.

Colours are Okabe and Ito's, told apart by colour-blind readers too, and every series has a marker of its own.
"""

import io
import math
import re

from benchmarks import tables, timing
from benchmarks.contenders import PEERS

COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000', '#999999')
ALONE = ', alone'  # what runs without the others has the colour of the same beside them, dotted
MARKERS = ('o', 's', '^', 'D', 'v', 'P', 'X', '*')
THEIRS = ('torch ', 'torchmetrics', 'keras ', 'JDTLosses', 'SMP', 'mmseg', 'softmax', *PEERS)


def draw(area, sections, folder):
    """Writes the area's plots and returns their file names; none where there is nothing to draw."""
    import matplotlib

    matplotlib.use('Agg')
    files = []
    for section in sections:
        if section['kind'] in ('comparison', 'accuracy') and columns_of(section):
            files.append(save(dots(section), folder, section['title']))
    lines = [section for section in sections if section['kind'] == 'scaling']
    if lines:
        files.append(save(panels(lines), folder, area))
    return files


def save(figure, folder, title):
    """One PNG with few colours, which keeps it small; returns its name."""
    from matplotlib import pyplot
    from PIL import Image

    name = re.sub('[^a-z0-9]+', '_', title.lower()).strip('_') + '.png'
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=100, bbox_inches='tight')
    pyplot.close(figure)
    Image.open(drawn).convert('RGB').quantize(64).save(folder / name, optimize=True)
    return name


def columns_of(section):
    """Panel title -> case -> name -> number."""
    if section['kind'] == 'accuracy':
        parts = ('error of the value', 'largest error of the gradient / largest gradient')
        return {
            part: {
                case: {name: max(e[k], 1e-12) for name, e in column.items()}
                for case, column in section['errors'].items()
            }
            for k, part in enumerate(parts)
        }
    reference, found = section['reference'], {}
    times = {case: column['seconds'] for case, column in section['cases'].items() if column['seconds']}
    if all(reference in seconds for seconds in times.values()):
        found[f'time / time of {reference}'] = {
            case: {name: timing.ratio(x, seconds[reference]) for name, x in seconds.items()}
            for case, seconds in times.items()
        }
    else:
        found['milliseconds'] = {
            case: {name: timing.milliseconds(x) for name, x in seconds.items()} for case, seconds in times.items()
        }
    peaks = {
        case: {name: peak / column['unit_bytes'] for name, peak in column['peaks'].items()}
        for case, column in section['cases'].items()
        if column['peaks']
    }
    if peaks:
        found[f'peak memory / {section["unit"]}'] = peaks
    return {title: cases for title, cases in found.items() if cases}


def dots(section):
    """A line for each contender, a marker for each case; one panel for time, one for memory."""
    from matplotlib import pyplot

    found = columns_of(section)
    names = names_of(section)
    height = 1.4 + 0.26 * len(names)
    figure, axes = pyplot.subplots(1, len(found), figsize=(1.8 + 4.1 * len(found), height), sharey=True, squeeze=False)
    cases = list(dict.fromkeys(case for columns in found.values() for case in columns))
    for axis, (title, columns) in zip(axes[0], found.items()):
        for k, case in enumerate(cases):
            points = [(columns[case][name], row) for row, name in enumerate(names) if name in columns.get(case, {})]
            x, y = zip(*points) if points else ((), ())
            axis.plot(
                x, y, MARKERS[k % len(MARKERS)], color=COLOURS[k % len(COLOURS)], markersize=6, alpha=0.85, label=case
            )
        axis.set_xscale('log')
        axis.set_xlabel(title)
        if section['kind'] == 'accuracy':
            whole_decades(axis)
        else:
            plain_numbers(axis.xaxis)
        axis.grid(True, axis='both', linewidth=0.4, alpha=0.6)
        if title.startswith('time /'):
            axis.axvline(1, color='black', linewidth=0.8)
    axes[0][0].set_yticks(range(len(names)), names)
    axes[0][0].set_ylim(len(names) - 0.5, -0.5)
    for label in axes[0][0].get_yticklabels():
        if not label.get_text().startswith(THEIRS):
            label.set_fontweight('bold')
    figure.suptitle(section['title'], y=1.0)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.tight_layout()
    figure.legend(
        handles, labels, loc='upper center', bbox_to_anchor=(0.5, 0.01), ncols=min(2, len(cases)), frameon=False
    )
    return figure


def names_of(section):
    """As the table has them."""
    if section['kind'] == 'accuracy':
        return list(dict.fromkeys(name for column in section['errors'].values() for name in column))
    return tables.sort_names(section)


def panels(sections):
    """A panel for each axis, a line for each contender, both axes logarithmic."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(sections), figsize=(0.6 + 4.3 * len(sections), 4.0), squeeze=False)
    names = list(dict.fromkeys(name for section in sections for name in section['seconds']))
    bases = list(dict.fromkeys(name.removesuffix(ALONE) for name in names))
    for axis, section in zip(axes[0], sections):
        for name in names:
            k, times = bases.index(name.removesuffix(ALONE)), section['seconds'].get(name, ())
            points = [(point, timing.milliseconds(x)) for point, x in zip(section['points'], times) if x]
            if points:
                axis.plot(
                    *zip(*points), marker=MARKERS[k], color=COLOURS[k], linestyle=':' if name.endswith(ALONE) else '-',
                    linewidth=1.4, markersize=5, label=name,
                )  # fmt: skip
        axis.set_xscale('log')
        axis.set_yscale('log')
        axis.set_xlabel(section['axis'])
        axis.set_ylabel('milliseconds')
        axis.set_title(section['title'], fontsize=10)
        plain_numbers(axis.xaxis)
        plain_numbers(axis.yaxis)
        if len(section['points']) < 8:
            axis.set_xticks(section['points'], [str(p) for p in section['points']], rotation=30, ha='right')
            axis.minorticks_off()
        axis.grid(True, linewidth=0.4, alpha=0.6)
    figure.tight_layout()
    handles = {label: handle for axis in axes[0] for handle, label in zip(*axis.get_legend_handles_labels())}
    figure.legend(
        handles.values(), handles.keys(), loc='upper center', bbox_to_anchor=(0.5, 0.01), ncols=3, frameon=False
    )
    return figure


def plain_numbers(axis):
    """0.5 and 20 instead of powers of ten."""
    from matplotlib import ticker

    axis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axis.set_major_formatter(ticker.FuncFormatter(lambda x, _: f'{x:g}'))
    axis.set_minor_formatter(ticker.NullFormatter())


def whole_decades(axis):
    """From one power of ten to another."""
    low, high = axis.get_xlim()
    axis.set_xlim(10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high)))
