"""The demo's page: one HTML file with everything in it."""

import os
import platform
import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from segparity.demo import curves, pictures
from segparity.demo.dataset import read_logits, read_split
from segparity.demo.judge import TITLES
from segparity.demo.results import SHOWN_METRICS
from segparity.demo.settings import (
    CLASSES,
    LEARNED,
    LOSSES,
    PALETTE,
    Settings,
    config_path,
    read_json,
)
from segparity.demo.terminal import parity_rows, small
from segparity.demo.worlds import World
from segparity.pages.shell import encoded, page_html
from segparity.pages.values import css_colour, with_raised
from shared_spec.files import replacing

SAMPLES, WORST = 6, 4


def write_page(out: Path, settings: Settings, worlds: list[World], results: Mapping[str, Any]) -> None:
    """Write ``out``/index.html."""
    values = page_values(out, settings, worlds, results)
    filters: dict[str, Callable[..., Any]] = dict(raised=raised, small=small, quoted=shlex.quote)
    text = page_html('segparity.demo', 'demo_page', values, filters)
    with replacing(out / 'index.html') as part:
        part.write_bytes(encoded(text))


def raised(title: str) -> str:
    """'mIoU^D' with the letters raised."""
    word, _, level = title.partition('^')
    return with_raised(word, level) if level else word


def page_values(out: Path, settings: Settings, worlds: list[World], results: Mapping[str, Any]) -> dict[str, Any]:
    """What the template needs."""
    images, labels = read_split(out, 'val')
    found = results['worlds']
    preds = {name: read_logits(out, name).argmax(1) for name in found}
    scores = {name: pictures.image_scores(pred, labels) for name, pred in preds.items()}
    glyphs = (read_json(out / 'data' / 'manifest.json') or {}).get('glyphs', {})
    describe = lambda i: description(i, glyphs.get(f'val/{i:04d}', ()))  # noqa: E731
    return {
        'settings': settings,
        'loss_weights': LOSSES,
        'results': results,
        'worlds': found,
        'missing': [world.sentence for world in worlds if not world.runs],
        'legend_entries': [*zip(CLASSES, map(css_colour, PALETTE)), ('ignored', '#ffffff')],
        'mistake_legend': [
            ('wrong', css_colour(pictures.WRONG)),
            ('right', css_colour(pictures.RIGHT)),
            ('ignored', css_colour(pictures.LEFT_OUT)),
        ],
        'metrics': SHOWN_METRICS,
        'learned_mark': LEARNED,
        'parity': parity_rows(results),
        'implementations': {name: TITLES[name] for name in ('numpy', *found)},
        'curves': drawn_curves(found),
        'samples': [
            sample(images[i], labels[i], i, preds, scores, found, describe) for i in range(min(SAMPLES, len(images)))
        ],
        'worst': {
            world['title']: [
                worst_image(images[i], labels[i], preds[name][i], scores[name][i], describe(i))
                for i in np.argsort(scores[name], kind='stable')[:WORST]
            ]
            for name, world in found.items()
        },
        'config': os.path.relpath(config_path()) if config_path().is_relative_to(Path.cwd()) else config_path(),
        'machine': machine(),
    }


def machine() -> str:
    system = f'{platform.system()} {platform.machine()}'
    return f'Python {platform.python_version()}, {system}, {os.cpu_count()} cores'


def description(number: int, glyphs: Iterable[tuple[int, ...]]) -> str:
    """'Scene 3: 7 (31 px), 0 (12 px)'."""
    return f'Scene {number}: ' + ', '.join(f'{digit} ({size} px)' for digit, size, *_ in glyphs)


def drawn_curves(found: Mapping[str, Any]) -> list[str]:
    """SVG texts; the difference only where there are two curves to compare."""
    from markupsafe import Markup

    drawn = [curves.loss_curves(found), curves.metric_curves(found)]
    if len(found) == 2:
        drawn.append(curves.drift_curve(found))
    return [Markup(text) for text in drawn]


def sample(
    image: np.ndarray,
    labels: np.ndarray,
    number: int,
    preds: Mapping[str, np.ndarray],
    scores: Mapping[str, np.ndarray],
    found: Mapping[str, Any],
    describe: Callable[[int], str],
) -> dict[str, Any]:
    """A row: input, truth, every world's prediction."""
    cells = [('input', pictures.picture(image)), ('truth', pictures.label_picture(labels))]
    for name, world in found.items():
        caption = f'{world["title"]}, mIoU {100 * scores[name][number]:.1f} %'
        cells.append((caption, pictures.label_picture(preds[name][number])))
    return {'title': describe(number), 'cells': cells}


def worst_image(image: np.ndarray, labels: np.ndarray, pred: np.ndarray, score: float, title: str) -> dict[str, Any]:
    """A row: input, truth, prediction, mistakes."""
    cells = [
        ('input', pictures.picture(image)),
        ('truth', pictures.label_picture(labels)),
        (f'prediction, mIoU {100 * score:.1f} %', pictures.label_picture(pred)),
        ('mistakes', pictures.mistakes_picture(pred, labels)),
    ]
    return {'title': title, 'cells': cells}
