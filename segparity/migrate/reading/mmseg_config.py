"""MMSegmentation configurations: losses, metrics and what changes their meaning, without executing any of it."""

import ast
import dataclasses
import os
from collections.abc import Sequence
from typing import Any

from segparity.migrate.items import Context, Place, Source, Unread
from segparity.migrate.reading import folders as folders_of
from segparity.migrate.reading import mmseg_facts
from segparity.migrate.reading.config_chain import Chain
from segparity.migrate.reading.mmseg_data import Evaluators, data_of, metric_context, reduces_zero_label
from segparity.migrate.reading.mmseg_heads import Heads
from segparity.migrate.reading.mmseg_items import keys_and_types
from segparity.migrate.reading.text import decode, parse, read_bytes, shorten
from segparity.migrate.reading.values import Table

KIND = 'MMSegmentation config'


def read_mmseg_config(path: str, *, folders: Sequence[str] | None = None, trust: bool = False) -> Source:
    """What a configuration of MMSegmentation 0.x or 1.x trains on and reports, its bases and imports included.

    path: a .py, .json, .yaml or .yml file. folders: more folders whose files it may name; else those of its project and of
    the installed mmseg (``segparity.migrate.reading.folders``). trust: lets MMEngine execute the configuration where
    something was not read. ValueError, one sentence, where the file cannot be read at all; OSError as always.
    """
    path = os.fspath(path)
    chain = Chain(path, folders or ())
    try:
        config = chain.read(path)
        source = read_config(config, chain)
    except ValueError:
        if not trust:
            raise
        config = Table(place=Place(path))
        source = Source(KIND, 'mmseg', unread=[Unread('the file', Place(path))])
    if trust and source.unread:
        chain.unread.clear()
        source = read_config(executed(path, config), chain)
        remark = f'{path} was executed by MMEngine, as --trust allows'
        source = dataclasses.replace(source, remarks=[*source.remarks, remark])
    return source


def read_config(config: Table, chain: Chain) -> Source:
    """What a configuration that was put together says."""
    remarks, unread = list(chain.remarks), list(chain.unread)
    version = version_of(config, chain, remarks)
    old = is_old(config) is True
    reduced = {
        part: reduces_zero_label(data_of(config, part), remarks, unread, word, old and part == 'train')
        for part, word in (('train', 'training'), ('val', 'validation'))
    }
    shared = Context('mmseg', version, labels='ids', activation='logits')
    heads = Heads(dataclasses.replace(shared, reduce_zero_label=reduced['train']))
    heads.read(config.get('model', config.rest), config.places.get('model', config.place))
    num_classes = next((output.context.num_classes for output in heads.outputs if 'auxiliary' not in output.name), None)
    predicting = [output.context for output in heads.outputs if 'auxiliary' not in output.name]
    context = metric_context(
        dataclasses.replace(
            shared,
            reduce_zero_label=reduced['val'],
            threshold=predicting[-1].threshold if predicting else None,  # of a cascade the last one predicts
        ),
        config,
        num_classes,
    )
    evaluators = Evaluators(config, context)
    evaluators.read()
    if not heads.outputs and not heads.unread and not evaluators.metrics:
        remarks.append('no head with losses and no evaluator was found')
    keys, types = keys_and_types(config)
    known = {(part.place, part.text) for part in chain.unread}  # a base that was not read is told once
    found = [*heads.unread, *evaluators.unread, *unread[len(chain.unread) :]]
    found = [*chain.unread, *(part for part in found if (part.place, part.text) not in known)]
    return Source(
        KIND,
        'mmseg',
        heads.outputs,
        evaluators.metrics,
        list(dict.fromkeys(found)),
        list(dict.fromkeys([*remarks, *heads.remarks, *evaluators.remarks])),
        types,
        keys,
        list(dict.fromkeys(chain.files)),
    )


def is_old(config: Table) -> bool | None:
    """Whether a configuration is written for 0.x; None where it does not show, or shows both."""
    old = any(key in config for key in mmseg_facts.OLD_KEYS)
    new = any(key in config for key in mmseg_facts.NEW_KEYS)
    return None if old == new else old


def version_of(config: Table, chain: Chain, remarks: list[str]) -> str | None:
    """The version of MMSegmentation that a configuration is for: that of its project, else what its keys and losses show.

    '0.x' stands for all of it, '1.0' for all before 1.1, whose DiceLoss has other arguments; None where the readings of later ones have to be told apart.
    """
    old = is_old(config)
    written = project_version(chain)
    if written is not None:
        if old is None or old == written.startswith('0.'):
            return written
        remarks.append(
            f'{os.path.join(chain.own_package, "version.py")} says {written}, but the keys are those of '
            f'{"0.x" if old else "1.x"}: every reading is told'
        )
        return None
    if old:
        return '0.x'
    arguments: set[str] = set()
    for table in tables_of_type(config.get('model'), 'DiceLoss'):
        arguments.update(key for key in table if isinstance(key, str))
    if arguments & {'smooth', 'exponent', 'class_weight'} and not arguments & {'eps', 'naive_dice', 'activate'}:
        return '1.0'
    return None


def tables_of_type(value: Any, name: str) -> list[Table]:
    """Every dict with this ``type`` in a value."""
    found, waiting, steps = [], [(value, 0)], 0
    while waiting and steps < 10_000:
        value, depth = waiting.pop()
        steps += 1
        if isinstance(value, Table):
            kind = value.get('type')
            if getattr(kind, 'name', kind) in (name, f'mmseg.models.losses.{name}', f'mmseg.{name}'):
                found.append(value)
        if depth < 10 and isinstance(value, (dict, list, tuple)):
            parts = value.values() if isinstance(value, dict) else value
            waiting.extend((part, depth + 1) for part in parts)
    return found


def project_version(chain: Chain) -> str | None:
    """``__version__`` of the package mmseg in the project, or around the configurations of an installed one."""
    packages = [chain.own_package]
    if chain.package and folders_of.within(chain.project, [chain.package]):
        packages.append(chain.package)
    for package in packages:
        path = os.path.join(package, 'version.py')
        if not os.path.isfile(path) or os.path.islink(path):
            continue
        try:
            tree = parse(decode(read_bytes(path), path), path)
        except (OSError, ValueError):
            continue
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                names = [target.id for target in node.targets if isinstance(target, ast.Name)]
                if '__version__' in names and isinstance(node.value.value, str):
                    return node.value.value[:40]
    return None


def executed(path: str, config: Table) -> Table:
    """The configuration as MMEngine makes it by executing it, with the places that were read; ValueError where it cannot."""
    try:
        from mmengine.config import Config
    except ImportError as error:
        raise ValueError(f'--trust needs MMEngine, which cannot be imported here: {error}') from None
    try:
        made = Config.fromfile(path).to_dict()
    except Exception as error:
        raise ValueError(f'MMEngine could not execute {path}: {type(error).__name__}: {shorten(str(error))}') from None
    return with_places(made, config, Place(path))


def with_places(value: Any, like: Any, place: Place) -> Any:
    """Dicts as tables, each key where the configuration that was read has it."""
    if isinstance(value, dict):
        known = like if isinstance(like, Table) else Table(place=place)
        table = Table(place=known.place, places=known.places)
        for key, part in value.items():
            table[key] = with_places(part, known.get(key), known.places.get(key, place))
            table.places.setdefault(key, place)
        return table
    if isinstance(value, (list, tuple)):
        others = like if isinstance(like, (list, tuple)) and len(like) == len(value) else [None] * len(value)
        return [with_places(part, other, place) for part, other in zip(value, others)]
    return value
