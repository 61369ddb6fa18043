"""What the demo found, as one JSON-able dictionary: the models' metrics, the drift, the comparison."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from segparity.demo.child import read_progress
from segparity.demo.judge import METRICS
from segparity.demo.settings import LEARNED, SAME_TOLERANCE, STEP_0_TOLERANCE, Settings, read_json
from segparity.demo.worlds import World

WORLDS = ('mmseg', 'keras')


def collect(out: Path, settings: Settings, running: Sequence[World]) -> dict[str, Any]:
    """Read what the trainings and the comparison of the worlds that ran have written."""
    results: dict[str, Any] = {'settings': settings.to_dict(), 'worlds': {}}
    for world in running:
        steps, validations = read_progress(out / world.name / 'progress.jsonl')
        results['worlds'][world.name] = {
            'title': world.long_title,
            'versions': world.versions(),
            'losses': [line['loss'] for line in steps],
            'validations': validations,
            **read_json(out / world.name / 'result.json'),
        }
    results['comparison'] = comparison(out, [world.name for world in running])
    results['drift'] = drift(results['worlds'])
    results['learned'] = {name: found['metrics']['mIoUD'] > LEARNED for name, found in results['worlds'].items()}
    steps_agree = not results['drift'] or results['drift'][0]['difference'] <= STEP_0_TOLERANCE
    results['agree'] = steps_agree and all(row['difference'] <= SAME_TOLERANCE for row in results['comparison'])
    return results


def drift(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The two worlds' losses at the first step and later ones; empty with one world."""
    if len(found) < 2:
        return []
    one, other = (found[name]['losses'] for name in WORLDS)
    count = min(len(one), len(other))
    chosen = [step for step in (0, 1, 2, 5, 10, 50, 100) if step < count - 1] + [count - 1]
    return [
        {'step': i, 'mmseg': one[i], 'keras': other[i], 'difference': abs(one[i] - other[i])}
        for i in dict.fromkeys(chosen)
    ]


def comparison(out: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each loss and metric of each model's predictions: every implementation's value, largest difference."""
    judged = {name: read_json(out / 'compare' / f'{name}.json') for name in ('numpy', *names)}
    rows = []
    for model in names:
        for kind in ('losses', 'metrics'):
            for title in judged['numpy'][model][kind]:
                values = {name: found[model][kind][title] for name, found in judged.items()}
                rows.append(
                    {
                        'model': model,
                        'kind': kind,
                        'title': title,
                        'values': values,
                        'difference': max(values.values()) - min(values.values()),
                    }
                )
    return rows


def largest(rows: Iterable[Mapping[str, Any]], kind: str) -> float:
    """The largest difference among the rows of a kind."""
    return max((row['difference'] for row in rows if row['kind'] == kind), default=0.0)


SHOWN_METRICS = {
    'aAcc': ('pixel accuracy', 'share of the valid pixels that are right'),
    'mIoUD': ('mIoU^D', 'over the data set: pixels added over all images'),
    'mIoUI': ('mIoU^I', 'per image, then the mean over images'),
    'mIoUC': ('mIoU^C', 'per class, over the images that show it'),
    'mIoUI5': ('mIoU^I5', 'the worst 5 % of the images'),
    'mIoUI1': ('mIoU^I1', 'the worst 1 % of the images'),
    'mIoUC5': ('mIoU^C5', 'for each class the worst 5 % of its images'),
    'mIoUC1': ('mIoU^C1', 'for each class the worst 1 % of its images'),
}
if not set(SHOWN_METRICS) <= set(METRICS):
    raise RuntimeError('the table shows a metric that the judges do not compute')
