"""The per-image table: one row for each class of each image, in CSV or Parquet, for audits and spreadsheets.

A spreadsheet takes a cell that begins with =, +, -, @, a tab or a line break for a formula, and names of files and
classes may: in CSV such a text gets an apostrophe in front, and so does one that has such apostrophes already.
``unguard_text`` takes one off, so every text comes back as it was. Numbers stay as they are.

Both plugins write such tables as ``segparity evaluate`` does, so their writer is here, and does without pandas.
"""

import csv
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from shared_spec.files import replacing
from shared_spec.typing import AnyPath, Column

IDENTITY = ('image', 'class_id', 'class_name')
COUNTS = ('present', 'tp', 'fp', 'fn')
FILES = ('image_file', 'target_file', 'pred_file')
FORMATS = ('.csv', '.parquet')
TEXTS = (*FILES, 'image', 'class_name')
ROWS = 10_000  # that are Python's objects at a time
FORMULA = re.compile(r"(?=('*)[=+\-@\t\r\n])")


def per_image_columns(
    images: Mapping[str, Sequence[str]], class_names: Sequence[str], cells: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Column -> array of images x classes values, image by image.

    images: 'image' (what tells it from the others) and perhaps ``FILES`` -> one text for each image; cells: column ->
    (images, classes), or (images,) for what is the same for all classes of an image.
    """
    n, c = len(images['image']), len(class_names)
    columns = {name: np.repeat(np.array(texts, object), c) for name, texts in images.items()}
    columns['class_id'] = np.tile(np.arange(c), n)
    columns['class_name'] = np.tile(np.array([str(name) for name in class_names], object), n)
    for name, values in cells.items():
        values = values[:, None] if values.ndim == 1 else values
        columns[name] = np.broadcast_to(values, (n, c)).reshape(-1)
    return columns


def check_format(owner: str, path: AnyPath) -> None:
    """Refuses a file that is neither .csv nor .parquet, and a missing library, before anything is measured."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f'{owner}: the per-image table is a {" or ".join(FORMATS)} file, got {os.fspath(path)!r}')
    if suffix == '.parquet':
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise ImportError(f"{owner}: a .parquet table needs pyarrow: pip install 'segparity[evaluate]'") from None


def write_table(path: AnyPath, columns: Mapping[str, Column]) -> None:
    """Writes the columns to a .csv or .parquet file, whole or not at all."""
    check_format('write_table', path)
    is_csv = Path(path).suffix.lower() == '.csv'
    written, write = (guard_text, write_csv) if is_csv else (escape_surrogates, write_parquet)
    columns = {name: change_texts(values, written) if name in TEXTS else values for name, values in columns.items()}
    with replacing(path) as part:
        write(part, columns)


def write_csv(path: AnyPath, columns: Mapping[str, Column]) -> None:
    """As pandas' ``to_csv`` writes them, to the byte; a text with a carriage return puts all texts in quotation marks."""
    returns = any('\r' in text for name in TEXTS for text in set(columns.get(name, ())))
    # QUOTE_MINIMAL would leave a carriage return bare
    quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL
    with open(path, 'w', encoding='utf-8', newline='') as stream:
        writer = csv.writer(stream, quoting=quoting, lineterminator=os.linesep)
        writer.writerow(columns)
        for start in range(0, len(next(iter(columns.values()))), ROWS):
            part = slice(start, start + ROWS)
            writer.writerows(zip(*(as_cells(values[part]) for values in columns.values())))


def as_cells(values: Column) -> list[Any]:
    """What the CSV has of a column: the shortest number that means the same, and nothing for NaN."""
    values = np.asarray(values)
    if values.dtype.kind != 'f':
        return values.tolist()
    return ['' if value != value else value for value in values.tolist()]


def write_parquet(path: AnyPath, columns: Mapping[str, Column]) -> None:
    """With null for NaN."""
    import pyarrow
    import pyarrow.parquet

    table = {name: pyarrow.array(values, from_pandas=True) for name, values in columns.items()}
    pyarrow.parquet.write_table(pyarrow.table(table), path)


def change_texts(texts: Iterable[str], change: Callable[[str], str]) -> list[str]:
    """``change`` of every text; most come once for each class."""
    found = {text: change(text) for text in set(texts)}
    return [found[text] for text in texts]


def escape_surrogates(text: str) -> str:
    """A text in letters: Linux takes any bytes for a name, and one that is none becomes ``\\udcff``."""
    return text.encode('utf-8', 'backslashreplace').decode()


def guard_text(text: str) -> str:
    """A text that no spreadsheet computes."""
    return ("'" if FORMULA.match(text) else '') + escape_surrogates(text)


def unguard_text(text: str) -> str:
    """What ``guard_text`` was given."""
    found = FORMULA.match(text)
    return text[1:] if found and found[1] else text
