"""What a run leaves behind beside its tables: JSON, and the per-image table."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from segparity import __version__
from segparity.evaluate.totals import Totals
from shared_spec.files import replacing
from shared_spec.metrics.per_image import check_format, per_image_columns, write_table

NOTHING: Mapping[str, Any] = MappingProxyType({})


def as_json(totals: Totals, skipped: Iterable[tuple[str, str]], chosen: Mapping[str, Any] = NOTHING) -> str:
    """Everything as JSON: results under the names of the spec, fractions; undefined is null, infinite is "inf".

    ``chosen``: what was not given and follows from a preset or from the names of the files.
    """
    found = dict(
        segparity=__version__,
        images=len(totals),
        images_without_valid_pixel=totals.without_pixel(),
        results={name: number(value) for name, value in totals.results().items()},
        classes=list(totals.settings.classes),
        images_with_class=totals.labelled().tolist(),
        per_class={name: [number(v) for v in values] for name, values in totals.per_class().items()},
        **missed_counts(totals),
        **({} if totals.predicted_as_none() is None else dict(pixels_predicted_as_no_class=totals.predicted_as_none())),
        settings=totals.settings.to_dict(),
        **chosen,
        skipped=[dict(image=image, reason=reason) for image, reason in skipped],
    )
    return json.dumps(found, indent=1, allow_nan=False)


def missed_counts(totals: Totals) -> dict[str, dict[str, int]]:
    """How many cells (image, class) have an infinite distance, of how many; nothing where none was measured."""
    if 'missed' not in totals.results():
        return {}
    count, of = totals.state('distances').missed_counts(totals.specs['distances'])
    return dict(missed=dict(count=int(count.sum()), of=int(of.sum())))


def number(value: float) -> float | str | None:
    value = float(value)
    return value if math.isfinite(value) else None if math.isnan(value) else 'inf'


def write_json(
    path: Path, totals: Totals, skipped: Iterable[tuple[str, str]], chosen: Mapping[str, Any] = NOTHING
) -> None:
    """``as_json`` in a file that is written whole or not at all; skipped: (image, reason)."""
    with replacing(path) as part:
        part.write_text(as_json(totals, skipped, chosen) + '\n', encoding='utf-8')


def check_per_image(path: Path) -> None:
    """ValueError for a file that is neither .csv nor .parquet, ImportError where .parquet lacks pyarrow."""
    check_format('--per-image', path)


def write_per_image(path: Path, totals: Totals) -> None:
    """One row for each class of each image, in CSV or Parquet."""
    files = [totals.files[image] for image in totals.images]
    images = dict(image=totals.images, target_file=[t for _, t in files], pred_file=[p for p, _ in files])
    write_table(path, per_image_columns(images, totals.settings.classes, totals.cells()))
