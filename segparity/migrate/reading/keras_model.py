"""Saved Keras models and configurations of ``compile``: JSON alone, no class loaded, no weight read."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from segparity.migrate.items import Context, Item, Place, Source, Unread
from segparity.migrate.note import SeenCall
from segparity.migrate.reading.files import content, members, regular
from segparity.migrate.reading.json_text import lines_of, parse_json, plain
from segparity.migrate.reading.keras_compile import Compiled, Found, outputs_of
from segparity.migrate.reading.keras_layers import heads_of, telling_layers
from segparity.migrate.reading.keras_names import CLASSES, FUNCTIONS, METRIC_FUNCTIONS, METRICS, of_string
from segparity.migrate.reading.text import shorten
from shared_spec.typing import AnyPath

HDF5 = b'\x89HDF\r\n\x1a\n'
CONFIG, METADATA = 16 << 20, 1 << 16
PARTS = ('loss', 'loss_weights', 'metrics', 'weighted_metrics')
OURS = ('keras_plugin', 'segparity')


def read_keras_model(path: AnyPath) -> Source:
    """The losses, metrics and last layers of a ``.keras`` file, from its config.json and metadata.json.

    Raises ValueError, one sentence, for HDF5 files, other ZIPs, damaged, encrypted and oversized ones.
    """
    refuse_hdf5(path)
    found = members(path, {'config.json': CONFIG, 'metadata.json': METADATA})
    if 'config.json' not in found:
        raise ValueError(f'{path} has no config.json: expected a file that model.save wrote')
    model = parse_json(found['config.json'], f'config.json of {path}')
    metadata = parse_json(found['metadata.json'], f'metadata.json of {path}') if 'metadata.json' in found else {}
    version = metadata.get('keras_version') if isinstance(metadata, dict) else None
    if not isinstance(model, dict) or not isinstance(model.get('class_name'), str):
        raise ValueError(f'config.json of {path} is no model: expected a file that model.save wrote')
    place = Place(str(path))
    return _read(model, model.get('compile_config'), 'Keras model', place, _version(version), {})


def read_compile_config(path: AnyPath) -> Source:
    """What ``json.dump(model.get_compile_config(), file)``, ``model.to_json()`` or a ``.keras`` file's config.json holds."""
    data = content(path, CONFIG)
    value = parse_json(data, str(path))
    return of_compile_config(value, data, path)


def of_compile_config(value: Any, data: bytes, path: AnyPath) -> Source:
    """As ``read_compile_config``, of JSON that was read."""
    if not looks_like_keras(value):
        raise ValueError(
            f'{path} is no configuration of Keras: expected what model.get_compile_config() or model.to_json() gives'
        )
    place = Place(str(path), 1)
    lines = lines_of(data, 5)
    if 'class_name' in value:
        below = {path[1:]: line for path, line in lines.items() if path[0] == 'compile_config'}
        return _read(value, value.get('compile_config'), 'Keras model', place, None, below)
    return _read(None, value, 'compile config', place, None, lines)


def looks_like_keras(value: Any) -> bool:
    """Whether a JSON value is a configuration of ``compile`` or of a model."""
    if not isinstance(value, dict):
        return False
    return (
        'loss' in value
        or 'compile_config' in value
        or (isinstance(value.get('class_name'), str) and isinstance(value.get('config'), dict))
    )


def refuse_hdf5(path: AnyPath) -> None:
    """ValueError where a file is HDF5, by its first bytes or its name: the older format of Keras."""
    with regular(path) as file:
        first = file.read(len(HDF5))
    if first == HDF5 or str(path).lower().endswith(('.h5', '.hdf5')):
        raise ValueError(
            f"{path} is a model in Keras' older format (HDF5), which is not read: load it and save it with "
            "model.save('model.keras')"
        )


Lines = Mapping[tuple[str | int, ...], int]


def _read(model: Any, given: Any, kind: str, place: Place, version: str | None, lines: Lines) -> Source:
    found = Found()
    heads = heads_of(model) if model is not None else {}
    if isinstance(given, dict) and any(given.get(part) is not None for part in PARTS):
        major = version or _major(given)
        parts = {part: _structure(given.get(part), part, place, lines, (part,)) for part in PARTS}
        name = 'compile' if not lines.get(('loss',)) else f'compile at line {lines["loss",]}'
        where = dataclasses.replace(place, line=lines.get(('loss',), place.line))
        context = Context(world='keras', version=major)
        outputs_of(Compiled(name, where, **parts, heads=heads, context=context), found)
        if given.get('weighted_metrics'):
            found.remark('weighted_metrics alone receive sample_weight: the others count every pixel alike')
    else:
        found.unread.append(
            Unread(
                'the model was saved without what compile was given: compile it before model.save',
                place,
                'compile_config',
            )
        )
    if not found.outputs and not found.unread:
        found.remark('the model was compiled without a loss')
    return Source(
        kind,
        'keras',
        found.outputs,
        found.metrics,
        found.unread,
        found.remarks,
        seen_calls=[*telling_layers(model, place), *_compiling(given, place)],
        files=(place.file,),
    )


def _compiling(given: Any, place: Place) -> Iterator[SeenCall]:
    """The optimizer and ``compile`` itself as calls, with their plain arguments."""
    if not isinstance(given, dict):
        return
    optimizer = given.get('optimizer')
    if isinstance(optimizer, dict) and _serialised(optimizer) and isinstance(optimizer.get('config'), dict):
        words = {
            k: plain(v, place) for k, v in optimizer['config'].items() if v is not None and not isinstance(v, dict)
        }
        yield SeenCall(shorten(optimizer['class_name']), words)
    words = {part: v for part in PARTS if isinstance(v := given.get(part), str)}
    words |= {
        part: tuple(v)
        for part in PARTS
        if isinstance(v := given.get(part), list) and v and all(isinstance(inner, str) for inner in v)
    }
    yield SeenCall('compile', words)


def _version(value: Any) -> str | None:
    return value[:40] if isinstance(value, str) and value[:1].isdigit() else None


def _major(given: Mapping[str, Any]) -> str | None:
    """'2' where the optimizer's words tell it; None for Keras 3, within which Tversky changes."""
    optimizer = given.get('optimizer')
    config = optimizer.get('config') if isinstance(optimizer, dict) else None
    if not isinstance(config, dict):
        return None
    return '2' if 'is_legacy_optimizer' in config or 'jit_compile' in config or 'decay' in config else None


def _structure(value: Any, part: str, place: Place, lines: Lines, path: tuple[str | int, ...]) -> Any:
    """Lists and dicts as they are, what stands in them as items (weights: numbers)."""
    place = dataclasses.replace(place, line=lines.get(path, place.line))
    if isinstance(value, list):
        return [_structure(inner, part, place, lines, (*path, i)) for i, inner in enumerate(value)]
    if isinstance(value, dict) and not _serialised(value):
        return {key: _structure(inner, part, place, lines, (*path, key)) for key, inner in value.items()}
    if value is None:
        return None
    if part == 'loss_weights':
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return plain(value, place)
        return Unread('it is no number', place, _text(value))
    return _item(value, part != 'loss', place)


def _serialised(value: Mapping[str, Any]) -> bool:
    return isinstance(value.get('class_name'), str) and ('config' in value or 'module' in value)


def _item(value: Any, metric: bool, place: Place) -> Item | Unread:
    """A string, a serialised object {'module', 'class_name', 'config', 'registered_name'} or a serialised function."""
    if isinstance(value, str):
        return of_string(value, place, metric)
    if not isinstance(value, dict):
        return Unread('it is neither a name nor an object of Keras', place, _text(value))
    config, registered = value.get('config'), value.get('registered_name')
    if value['class_name'] == 'function':
        name = config if isinstance(config, str) else config.get('class_name') if isinstance(config, dict) else None
        if not isinstance(name, str):
            return Unread('it is a function without a name', place, _text(value))
        package, _, name = name.rpartition('>')
        item = of_string(name, place, metric)
        return dataclasses.replace(item, library='own' if package else item.library, text=_text(value))
    library = _library(value.get('module'), registered, value['class_name'], metric)
    arguments = {k: _argument(v, library, place) for k, v in config.items()} if isinstance(config, dict) else {}
    return Item(library, shorten(value['class_name']), told(arguments), place, text=_text(value))


def _library(module: Any, registered: Any, name: str, metric: bool) -> str:
    module = module if isinstance(module, str) else ''
    package = registered.partition('>')[0] if isinstance(registered, str) and '>' in registered else ''
    root = module.partition('.')[0]
    if package == 'segparity' or root in OURS:
        return 'segparity'
    if package in {'keras_cv', 'keras_hub'} or root in {'keras_cv', 'keras_hub'}:
        return package or root
    if package in {'Addons', 'tensorflow_addons'} or root == 'tensorflow_addons':
        return 'tensorflow_addons'
    if package and package != 'keras':
        return 'own'
    known = (METRICS | METRIC_FUNCTIONS) if metric else (CLASSES | FUNCTIONS)
    return 'keras' if name in known and (root in {'keras', 'tf_keras', 'tensorflow', ''}) else 'own'


def told(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a serialised object that say something: without its name, and without defaults of every loss."""
    usual: dict[str, tuple[Any, ...]] = {
        'name': (),
        'dtype': (),
        'reduction': ('sum_over_batch_size', 'auto', None),
        'fn': (),
    }
    return {k: v for k, v in arguments.items() if k not in usual or (usual[k] and v not in usual[k])}


def _argument(value: Any, library: str, place: Place) -> Any:
    """A value of a ``config``: losses inside are items, ours as {'type': ...} too."""
    if isinstance(value, list):
        return [_argument(inner, library, place) for inner in value]
    if isinstance(value, dict):
        if _serialised(value):
            return (
                _item(value, False, place)
                if value['class_name'] not in {'DTypePolicy', '__numpy__'}
                else _numbers(value, place)
            )
        inner = {k: _argument(v, library, place) for k, v in value.items()}
        if library == 'segparity' and isinstance(value.get('type'), str):
            kind = inner.pop('type')
            return Item('segparity', shorten(kind), told(inner), place, text=shorten(kind))
        return inner
    return plain(value, place)


def _numbers(value: Mapping[str, Any], place: Place) -> Any:
    config = value.get('config')
    inner = config.get('value') if isinstance(config, dict) else None
    return plain(inner, place) if inner is not None else Unread('it is no number or list', place, _text(value))


def _text(value: Any) -> str:
    """JSON on a line, shortened; an object as it would be written in Python."""
    if isinstance(value, dict) and _serialised(value):
        config = value.get('config')
        if value['class_name'] == 'function':
            return _text(config).strip('"')
        words = told(config) if isinstance(config, dict) else {}
        text = f'{value["class_name"]}('
        for word, inner in words.items():
            text += f'{word}={_text(inner)}, '
            if len(text) > 100:
                break
        return shorten(text.removesuffix(', ') + ')')
    parts: list[str] = []
    for part in json.JSONEncoder().iterencode(value):
        parts.append(part)
        if len(parts) > 100:
            break
    return shorten(''.join(parts))
