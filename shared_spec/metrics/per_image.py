"""The per-image table: one row for each class of each image, in CSV or Parquet, for audits and spreadsheets.

A spreadsheet takes a cell that begins with =, +, -, @, a tab or a line break for a formula, and names of files and
classes may: in CSV such a text gets an apostrophe in front, and so does one that has such apostrophes already.
``read_table`` takes one off, so every text comes back as it was. Numbers stay as they are.
"""

import csv
import os
import re
from pathlib import Path

import numpy as np

from shared_spec.files import one_sentence, replacing

IDENTITY = ('image', 'class_id', 'class_name')
COUNTS = ('present', 'tp', 'fp', 'fn')
FILES = ('image_file', 'target_file', 'pred_file')
FORMATS = ('.csv', '.parquet')
TEXTS = (*FILES, 'image', 'class_name')
FORMULA = re.compile(r"(?=('*)[=+\-@\t\r\n])")


def per_image_columns(images, class_names, cells):
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


def check_format(owner, path):
    """Refuses a file that is neither .csv nor .parquet, and a missing library, before anything is measured."""
    if Path(path).suffix.lower() not in FORMATS:
        raise ValueError(f'{owner}: the per-image table is a {" or ".join(FORMATS)} file, got {os.fspath(path)!r}')
    _pandas(owner)


def write_table(path, columns):
    """Writes the columns to a .csv or .parquet file, whole or not at all."""
    check_format('write_table', path)
    is_csv = Path(path).suffix.lower() == '.csv'
    written = guarded if is_csv else letters
    columns = {name: changed(values, written) if name in TEXTS else values for name, values in columns.items()}
    frame = _pandas('write_table').DataFrame(columns)
    with replacing(path) as part:
        if is_csv:
            returns = any(
                '\r' in text for name in TEXTS for text in set(columns.get(name, ()))
            )  # pandas leaves them bare
            frame.to_csv(part, index=False, quoting=csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL)
        else:
            frame.to_parquet(part, index=False)


def changed(texts, change):
    """``change`` of every text; most come once for each class."""
    found = {text: change(text) for text in set(texts)}
    return [found[text] for text in texts]


def letters(text):
    """A text in letters: Linux takes any bytes for a name, and one that is none becomes ``\\udcff``."""
    return text.encode('utf-8', 'backslashreplace').decode()


def guarded(text):
    """A text that no spreadsheet computes."""
    return ("'" if FORMULA.match(text) else '') + letters(text)


def unguarded(text):
    """What ``guarded`` was given."""
    found = FORMULA.match(text)
    return text[1:] if found and found[1] else text


def read_table(path):
    """The pandas.DataFrame of such a file. Raises ValueError where it is none, OSError where it cannot be read."""
    check_format('read_table', path)
    pandas, path = _pandas('read_table'), Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path} is no file')
    texts = dict.fromkeys(TEXTS, str)
    with one_sentence(f'{path}: no per-image table', passing=OSError):
        if path.suffix.lower() == '.csv':
            frame = pandas.read_csv(path, dtype=texts, keep_default_na=False, na_values=dict.fromkeys(_NUMBERS, ['']))
            for name in frame.columns.intersection(TEXTS):
                frame[name] = changed(frame[name], unguarded)
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


_NUMBERS = ('Acc', 'IoU', 'Dice', 'Precision', 'Fscore', 'BoundaryIoU', 'HD', 'HD95', 'ASSD', 'SCE', 'ECE')


def _pandas(owner):
    try:
        import pandas
        import pyarrow  # noqa: F401  writes Parquet
    except ImportError:
        raise ImportError(
            f"{owner}: the per-image table needs pandas and pyarrow: pip install 'segparity[evaluate]'"
        ) from None
    return pandas
