"""The heads of a configuration with their losses."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from segparity.migrate.items import Context, Item, Output, Place, Unread
from segparity.migrate.reading import mmseg_facts
from segparity.migrate.reading.mmseg_items import item_of, library_of, named, unread_in, written
from segparity.migrate.reading.text import shorten
from segparity.migrate.reading.values import Table


class Heads:
    """Reads the heads of ``model``. outputs, remarks, unread: what was found; context: what all heads share."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.outputs: list[Output] = []
        self.remarks: list[str] = []
        self.unread: list[Unread] = []
        self.met: set[int] = set()

    def read(self, model: Any, place: Place) -> None:
        """Every head of a model: those of its own keys first, then others that have a loss_decode."""
        if not isinstance(model, Table):
            if model is not None:
                self.unread.append(named('model', model, place))
            return
        for key in ('decode_head', 'auxiliary_head'):
            where = model.places.get(key, model.place)
            if key in model:
                self.read_heads(key, model[key], where)
            elif model.rest is not None:
                self.unread.append(named(key, model.rest, where))
        for path, table in with_losses(model):
            if id(table) not in self.met:
                self.head(path, table)

    def read_heads(self, name: str, value: Any, place: Place) -> None:
        if isinstance(value, (list, tuple)):
            for index, part in enumerate(value):
                self.read_heads(f'{name}[{index}]', part, place)
        elif isinstance(value, Table) and ('type' in value or 'loss_decode' in value or not any(with_losses(value))):
            self.head(name, value)
        elif value is not None and not isinstance(value, Table):
            self.unread.append(named(name, value, place))

    def head(self, name: str, table: Table) -> None:
        """One head as an output."""
        self.met.add(id(table))
        place = table.places.get('type', table.place)
        kind = self.kind(name, table, place)
        if kind == 'IterativeDecodeHead' and isinstance(table.get('kernel_generate_head'), Table):
            self.remarks.append(f'{place}: {mmseg_facts.REMARKS[kind]}')
            self.head(name, table['kernel_generate_head'])
            return
        if 'loss_decode' not in table and any(with_losses(table)):
            return  # it holds heads, which are read by themselves
        context = self.context_of(name, table)
        refused = self.refused(kind, table)
        if refused:
            self.outputs.append(Output(name, [], context, place, refused))
            return
        if kind in mmseg_facts.REMARKS:
            if kind != 'EncHead' or table.get('use_se_loss') is not False:
                self.remarks.append(f'{place}: {mmseg_facts.REMARKS[kind]}')
        elif kind is not None and kind not in mmseg_facts.SUMMING_HEADS:
            self.remarks.append(
                f'{place}: {kind} is a head of the project itself; its losses are read as a sum over loss_decode, as '
                f'BaseDecodeHead takes them'
            )
        self.outputs.append(Output(name, self.losses(name, table, kind), context, place))

    def kind(self, name: str, table: Table, place: Place) -> str | None:
        """The class of a head; None where it is not known, which is told."""
        kind = table.get('type', table.rest)
        found = None if isinstance(kind, Unread) else library_of(kind, table.get('_scope_'))
        if kind is None and 'loss_decode' in table:  # a part of a configuration, which stands on another
            self.remarks.append(
                f'{place}: {name} has no type; its losses are read as a sum, as BaseDecodeHead takes them'
            )
            return None
        if found is None:
            unread = kind if isinstance(kind, Unread) else Unread('it has no type', place, shorten(written(table)))
            self.unread.append(named(f'{name}.type', unread, place))
            return None
        name = found[1].rpartition('.')[2]
        return name if name in mmseg_facts.REFUSED else found[1]

    def refused(self, kind: str | None, table: Table) -> str:
        if kind in mmseg_facts.REFUSED:
            return f'{kind} {mmseg_facts.REFUSED[kind]}: its losses stay as they are'
        if 'loss_mask' in table and 'loss_decode' not in table:
            return f'{kind or "a head"} {mmseg_facts.MATCHED}: its losses stay as they are'
        return ''

    def context_of(self, name: str, table: Table) -> Context:
        num_classes = self.fact(name, table, 'num_classes', int, None)
        channels = self.fact(name, table, 'out_channels', int, num_classes)
        channels = num_classes if channels is None else channels
        return dataclasses.replace(
            self.context,
            num_classes=num_classes,
            channels=channels,
            ignore_index=self.fact(name, table, 'ignore_index', int, mmseg_facts.IGNORE_INDEX),
            align_corners=self.fact(name, table, 'align_corners', bool, False),
            sampler=self.sampler(name, table),
            threshold=self.threshold(name, table) if channels == 1 else None,
        )

    def fact(self, name: str, table: Table, key: str, kind: type, default: Any) -> Any:
        """A plain value of a head; None where it was not read, which is told."""
        place = table.places.get(key, table.place)
        value = table.get(key, table.rest if table.rest is not None else default)
        if value is None or (type(value) is kind):
            return value
        self.unread.append(named(f'{name}.{key}', value, place))
        return None

    def threshold(self, name: str, table: Table) -> float | None:
        """The probability above which a head of one channel predicts foreground; None where it was not read."""
        value = table.get('threshold', table.rest)
        if type(value) is int:
            return float(value)
        found: float | None = self.fact(name, table, 'threshold', float, None)
        return mmseg_facts.THRESHOLD if found is None and value is None else found

    def sampler(self, name: str, table: Table) -> str | None:
        value = table.get('sampler')
        if value is None:
            return None
        place = table.places.get('sampler', table.place)
        item = item_of(value, place) if isinstance(value, Table) and 'type' in value else named('', value, place)
        if isinstance(item, Unread):
            self.unread.append(named(f'{name}.sampler', item, place))
            return 'a sampler that was not read'
        self.unread.extend(unread_in(item, f'{name}.sampler'))
        return f'{item.name}({", ".join(f"{key}={written(part)}" for key, part in item.arguments.items())})'

    def losses(self, name: str, table: Table, kind: str | None) -> list[Item]:
        """The items of loss_decode; the default of the head where it has none."""
        place = table.places.get('loss_decode', table.place)
        if 'loss_decode' not in table and table.rest is None:
            where = table.places.get('type', table.place)
            self.remarks.append(
                f'{where}: {name} has no loss_decode, so the default of its head is meant: CrossEntropyLoss with '
                'use_sigmoid=False and loss_weight=1.0'
            )
            return [
                Item('mmseg', 'CrossEntropyLoss', dict(mmseg_facts.DEFAULT_LOSS), where, text='(default of the head)')
            ]
        value = table.get('loss_decode', table.rest)
        parts = list(value) if isinstance(value, (list, tuple)) else [value]
        found = []
        for index, part in enumerate(parts):
            key = f'{name}.loss_decode[{index}]' if isinstance(value, (list, tuple)) else f'{name}.loss_decode'
            item: Any = item_of(part, place) if isinstance(part, Table) and 'type' in part else named('', part, place)
            self.unread.extend(unread_in(item, key))
            if isinstance(item, Item):
                found.append(item)
                self.remark_name(item)
        return found

    def remark_name(self, item: Item) -> None:
        name = item.arguments.get('loss_name')
        if isinstance(name, str) and 'loss' not in name:
            self.remarks.append(
                f'{item.place}: loss_name {name[:60]!r} has no "loss" in it, so MMSegmentation reports {item.name} and does '
                'not train on it'
            )


def with_losses(model: Table) -> Iterator[tuple[str, Table]]:
    """(dotted path, table) of every dict in a model that has a loss_decode."""
    waiting: list[tuple[str, Any, int]] = [('', model, 0)]
    while waiting:
        path, value, depth = waiting.pop(0)
        if isinstance(value, Table) and 'loss_decode' in value and path:
            yield path, value
        before = f'{path}.' if path else ''
        if depth < 6 and isinstance(value, dict):
            waiting.extend((f'{before}{key}', part, depth + 1) for key, part in value.items() if key != 'loss_decode')
        elif depth < 6 and isinstance(value, (list, tuple)):
            waiting.extend((f'{path}[{index}]', part, depth + 1) for index, part in enumerate(value))
