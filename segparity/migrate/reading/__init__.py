"""Readers of what users have: each gives a ``segparity.migrate.items.Source`` and executes nothing of it."""

import os
import re
from typing import Any

from segparity.migrate.items import Source
from segparity.migrate.reading.files import content, regular
from segparity.migrate.reading.json_text import parse_json
from shared_spec.typing import AnyPath

BASED = re.compile(r'^\s*(?:_base_\s*=|with\s+read_base\()', re.MULTILINE)
KEYS = re.compile(
    r'^(?:model|data|evaluation|val_evaluator|test_evaluator|train_dataloader|val_dataloader|optim_wrapper|train_cfg|'
    r'default_hooks|custom_imports|runner|lr_config)\s*=\s*(?:dict\(|\{|\[)|^model\s*\.\s*update\(',
    re.MULTILINE,
)
FRAMEWORK = re.compile(
    r'^\s*(?:import|from)\s+(?:torch|tensorflow|keras|tf_keras|segmentation_models|monai)\w*\b', re.MULTILINE
)
COMPILE = re.compile(r'\.compile\s*\(')
ZIP = b'PK\x03\x04'
KINDS = (
    'expected an MMSegmentation config (.py, .json, .yaml), a Keras script (.py), a notebook (.ipynb) or a .keras file'
)


def read_source(path: AnyPath, trust: bool = False) -> Source:
    """What a source has of losses and metrics, by the reader that its content and suffix ask for; it is not executed.

    trust: whether MMEngine may execute a config that cannot be read otherwise. Raises ValueError, one sentence, for what
    is no source, and for one that is damaged, too large or nested too deeply.
    """
    with regular(path) as file:
        first = file.read(8)
    suffix = os.path.splitext(str(path))[1].lower()
    if suffix in {'.h5', '.hdf5', '.keras'} or first[:4] == ZIP or first == b'\x89HDF\r\n\x1a\n':
        from segparity.migrate.reading.keras_model import read_keras_model

        return read_keras_model(path)
    if suffix == '.ipynb':
        from segparity.migrate.reading.keras_script import read_keras_notebook

        return read_keras_notebook(path)
    if suffix == '.json':
        return _json(path, trust)
    if suffix in {'.yaml', '.yml'}:
        return _config(path, trust)
    if suffix == '.py':
        text = content(path, 8 << 20).decode('utf-8-sig', 'replace')
        if not COMPILE.search(text) and (BASED.search(text) or (KEYS.search(text) and not FRAMEWORK.search(text))):
            return _config(path, trust)
        from segparity.migrate.reading.keras_script import read_keras_script

        return read_keras_script(path)
    raise ValueError(f'{path} is no source that is read, {KINDS}')


def _json(path: AnyPath, trust: bool) -> Source:
    from segparity.migrate.reading.keras_model import looks_like_keras, of_compile_config

    data = content(path, 64 << 20)
    value: Any = parse_json(data, str(path))
    if isinstance(value, dict) and isinstance(value.get('cells'), list) and 'nbformat' in value:
        from segparity.migrate.reading.keras_script import read_keras_notebook

        return read_keras_notebook(path)
    if looks_like_keras(value):
        return of_compile_config(value, data, path)
    return _config(path, trust)


def _config(path: AnyPath, trust: bool) -> Source:
    from segparity.migrate.reading.mmseg_config import read_mmseg_config

    return read_mmseg_config(os.fspath(path), trust=trust)
