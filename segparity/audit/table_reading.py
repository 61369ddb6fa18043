"""Per-image tables as pandas reads them; what they hold is defined where they are written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from shared_spec.files import one_sentence
from shared_spec.metrics.per_image import COUNTS, IDENTITY, TEXTS, change_texts, check_format, unguard_text

if TYPE_CHECKING:
    from types import ModuleType

    import pandas

NUMBERS = ('Acc', 'IoU', 'Dice', 'Precision', 'Fscore', 'BoundaryIoU', 'HD', 'HD95', 'ASSD', 'SCE', 'ECE')


def read_table(path: str | Path) -> pandas.DataFrame:
    """The pandas.DataFrame of such a file. Raises ValueError where it is none, OSError where it cannot be read."""
    check_format('read_table', path)
    pandas, path = needed('read_table'), Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path} is no file')
    texts = dict.fromkeys(TEXTS, str)
    # PyArrow's own errors are OSErrors of several lines
    with one_sentence(f'{path}: no per-image table', passing=(FileNotFoundError, PermissionError)):
        if path.suffix.lower() == '.csv':
            frame = pandas.read_csv(
                path, dtype=texts, keep_default_na=False, na_values={name: [''] for name in NUMBERS}
            )
            for name in frame.columns.intersection(TEXTS):
                frame[name] = change_texts(frame[name], unguard_text)
        else:
            frame = pandas.read_parquet(path)
    missing = [name for name in (*IDENTITY, *COUNTS) if name not in frame]
    if missing:
        raise ValueError(f'{path}: a per-image table has the columns {", ".join(missing)}, which are missing here')
    for name in (*COUNTS, 'class_id'):
        if len(frame) and frame[name].dtype.kind not in ('b' if name == 'present' else 'iu'):
            kind = 'True or False' if name == 'present' else 'integers'
            raise ValueError(f'{path}: the column {name} must hold {kind}, got {frame[name].dtype}')
    return frame


def needed(owner: str) -> ModuleType:
    """pandas, which reads the table, or the sentence that says how to get it."""
    try:
        import pandas
        import pyarrow  # noqa: F401  reads Parquet
    except ImportError:
        raise ImportError(
            f"{owner}: the per-image table needs pandas and pyarrow: pip install 'segparity[evaluate]'"
        ) from None
    return pandas
