"""Mergeable state in a file: a .npz without pickles, with what it was counted under."""

import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from segparity import __version__
from segparity.evaluate.settings import Settings
from segparity.evaluate.totals import Totals
from shared_spec.files import one_sentence, replacing

FORMAT = 'segparity evaluate state'
VERSION = 1
STACKED = ('counts', 'boundary', 'distances', 'diagonal')  # one entry of an array for each image


def write_state(path: Path, totals: Totals, skipped: Iterable[tuple[str, str]] = ()) -> None:
    """Writes the file, whole or not at all. ``skipped``: (image, reason) of what is missing from it."""
    head = dict(
        format=FORMAT,
        version=VERSION,
        segparity=__version__,
        settings=totals.settings.to_dict(),
        skipped=[list(entry) for entry in skipped],
    )
    rows = [totals.rows[image] for image in totals.images]
    arrays: dict[str, Any] = {name: np.array([row[name] for row in rows]) for name in STACKED if name in rows[0]}
    if 'cells' in rows[0]:
        arrays['cells'] = np.concatenate([row['cells'] for row in rows])
        arrays['cells_of_image'] = np.array([len(row['cells']) for row in rows])
    files = [totals.files[image] for image in totals.images]
    texts = dict(image=totals.images, pred_file=[p for p, _ in files], target_file=[t for _, t in files])
    for name, values in dict(head=head, **texts).items():
        # as JSON in bytes: an array of texts drops their last NUL and is as wide as the longest
        arrays[name] = np.frombuffer(json.dumps(values).encode(), np.uint8)
    with replacing(path) as part, open(part, 'wb') as stream:
        np.savez_compressed(stream, **arrays)


def read_state(path: str | Path) -> tuple[Totals, list[tuple[str, str]]]:
    """(totals, skipped) of such a file. Raises ValueError where it is none or is damaged, OSError where it is absent."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f'{path} is a folder, not a state of segparity evaluate')
    if not path.exists():
        raise FileNotFoundError(f'{path} does not exist')
    with one_sentence(f'{path} is no state of segparity evaluate'):
        if not zipfile.is_zipfile(path):
            raise ValueError('it is another kind of file, or damaged')
        with open(path, 'rb') as stream, np.load(stream, allow_pickle=False) as opened:
            if 'head' not in opened:
                raise ValueError('it is another kind of file')
            head = json.loads(opened['head'].tobytes())
            if not isinstance(head, dict) or head.get('format') != FORMAT:
                raise ValueError('it is another kind of file')
            if head['version'] != VERSION:
                raise ValueError(f'it has version {head["version"]}, this segparity reads {VERSION}')
            arrays = {name: opened[name] for name in opened.files if name != 'head'}
        totals = totals_of(Settings.from_dict(head['settings']), arrays)
        return totals, [(str(image), str(reason)) for image, reason in head['skipped']]


def totals_of(settings: Settings, arrays: Mapping[str, np.ndarray]) -> Totals:
    totals = Totals(settings)
    images, preds, targets = (json.loads(arrays[name].tobytes()) for name in ('image', 'pred_file', 'target_file'))
    parts: dict[str, Any] = {name: arrays[name] for name in STACKED if name in arrays}
    if 'cells' in arrays:
        parts['cells'] = np.split(arrays['cells'], np.cumsum(arrays['cells_of_image']))[:-1]
    if {len(part) for part in (preds, targets, *parts.values())} != {len(images)} or len(set(images)) != len(images):
        raise ValueError('its parts are not of the same images')
    for k, image in enumerate(images):
        totals.add(str(image), (str(preds[k]), str(targets[k])), {name: part[k] for name, part in parts.items()})
    _ = totals.states  # refuses rows that are none
    return totals


def refuse_other_files(path: str | Path) -> None:
    """A file that is no state is not overwritten."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f'the state must be a file, {path} is a folder')
    if path.exists() and path.stat().st_size:
        try:
            read_state(path)
        except ValueError:
            raise ValueError(f'{path} is no state of segparity evaluate, and is not overwritten') from None
