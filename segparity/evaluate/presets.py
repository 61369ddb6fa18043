"""Presets: the classes of public data sets, what their label maps hold, and how their files are named.

The facts are in ``presets.json``, one entry for each data set; what it leaves out is the default of ``Preset``.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segparity.evaluate import maps, pairs
from segparity.evaluate.label_ids import LabelIds
from segparity.evaluate.naming import infer_suffixes
from segparity.evaluate.options import BY_DEFAULT
from segparity.evaluate.palette import Palette, rgb_of
from shared_spec.checks import nearest

if TYPE_CHECKING:
    import argparse

TABLE = Path(__file__).with_name('presets.json')


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroundTruth:
    """One form in which a data set's labels come: by its file names, and of equal names by whether files are coloured."""

    suffix: str = ''
    ids: str = 'classes'  # or 'label-ids'
    colours: bool = False
    reduce_zero_label: bool | None = None  # None: as the preset says


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """``colours``: of the classes in order, as hex; further ones are ignored. ``label_ids``: those of the classes in
    order, ``void_ids`` those of no class. ``pred_suffixes`` and ``ground_truth``: what is looked for, in this order."""

    name: str
    title: str
    classes: tuple[str, ...]
    colours: str = ''
    ignore_index: int = 255
    by_name: bool = False
    reduce_zero_label: bool = False
    pred_suffixes: tuple[str, ...] = ('',)
    ground_truth: tuple[GroundTruth, ...]
    label_ids: tuple[int, ...] = ()
    void_ids: tuple[int, ...] = ()

    def palette(self) -> Palette:
        """The colours of the classes. Raises ValueError where the data set is not known by colours."""
        if not self.colours:
            raise ValueError(f'the preset {self.name} has no colours')
        colours = [rgb_of(text) for text in self.colours.split()]
        numbers = [k if k < len(self.classes) else None for k in range(len(colours))]
        return Palette(tuple((r, g, b, k) for (r, g, b), k in zip(colours, numbers)), self.classes)

    def ids(self) -> LabelIds:
        """The label ids and their classes. Raises ValueError where the data set has none but the classes."""
        if not self.label_ids:
            raise ValueError(f'the preset {self.name} has no label ids other than its classes')
        return (*zip(self.label_ids, range(len(self.label_ids))), *((given, None) for given in self.void_ids))


@functools.cache
def presets() -> dict[str, Preset]:
    """Name -> preset, in the order of the table."""
    table = json.loads(TABLE.read_text(encoding='utf-8'))
    found = {}
    for name, entry in table.items():
        like = table.get(entry.pop('like', None), {})
        entry |= {key: like[key] for key in ('classes', 'colours') if key in like}
        entry['ground_truth'] = [GroundTruth(**form) for form in entry['ground_truth']]
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
        found[name] = Preset(name=name, **fields)
    return found


def find_preset(name: str) -> Preset:
    """Raises ValueError for a name that is none, with the nearest that is."""
    found = presets().get(name.strip().lower().replace('_', '-'))
    if found is None:
        hint = nearest(name.lower(), presets())
        raise ValueError(f'unknown preset {name!r}, {f"did you mean {hint}?" if hint else "--preset list names them"}')
    return found


def apply_preset(options: argparse.Namespace) -> dict[str, Any]:
    """Fills in what was not given by hand, from ``options.preset``; returns that, option -> value.

    What there is decides between the forms of the ground truth and the names of the predictions.
    """
    preset: Preset = options.preset
    chosen: dict[str, Any] = {}

    def choose(name: str, value: Any) -> None:
        if getattr(options, name) is (BY_DEFAULT if name == 'ignore_index' else None):
            setattr(options, name, value)
            chosen[name] = value

    by_hand = options.palette or options.gt_palette
    targets = paths(options.gt, 'GT')
    form = form_of(preset, targets, options.gt_suffix)
    if not options.classes and not by_hand and options.num_classes in (None, len(preset.classes)):
        options.classes_of_preset = preset.classes
        chosen['num_classes'] = len(preset.classes)
    choose('ignore_index', preset.ignore_index)
    choose('by_name', preset.by_name)
    choose('gt_suffix', form.suffix)
    if form.colours and not by_hand:
        options.palette_of_preset = preset.palette()
        chosen['gt_palette'] = preset.name
    if not by_hand:  # whose colours are classes
        choose('gt_ids', form.ids)
        reduced = preset.reduce_zero_label if form.reduce_zero_label is None else form.reduce_zero_label
        choose('reduce_zero_label', reduced and not form.colours)
    if options.gt.is_dir():
        choose('pred_suffix', pred_suffix(preset, paths(options.pred, 'PRED'), targets, options.gt_suffix))
    return chosen


def paths(path: Path, option: str) -> list[Path]:
    """The maps that PRED or GT names: of a folder, a list, or a single one."""
    kind = pairs.kind(path, option)
    found = list(pairs.walk(path, set())) if kind == 'folder' else pairs.lines(path) if kind == 'list' else [path]
    return sorted(p for p in found if p.name.lower().endswith((*pairs.MAPS, pairs.PROBABILITIES)))


def form_of(preset: Preset, targets: list[Path], suffix: str | None) -> GroundTruth:
    """The first form that a file has; of a suffix given by hand, the form of that suffix."""
    for form in preset.ground_truth:
        if suffix is None or pairs.stem('x' + suffix, form.suffix) == 'x':
            path = next((p for p in targets if pairs.stem(p.name, form.suffix) is not None), None)
            if path and (not form.colours or is_coloured(path)):
                return form
    return GroundTruth()


def is_coloured(path: Path) -> bool:
    """Whether a picture has colours, and neither ids nor indices; not where it cannot be read."""
    try:
        with maps.sentences(path), maps.open_image(path) as image:
            return image.mode in ('RGB', 'RGBA')
    except maps.MapError:
        return False


def pred_suffix(preset: Preset, preds: list[Path], targets: list[Path], gt_suffix: str) -> str:
    """The first of the preset's suffixes with which a prediction has the name of a ground truth, else one inferred."""
    stems = {pairs.stem(path.name, gt_suffix) for path in targets} - {None}
    for suffix in preset.pred_suffixes:
        if any(pairs.stem(path.name, suffix) in stems for path in preds):
            return suffix
    found = (
        infer_suffixes({pairs.bare_and_type(path.name)[0] for path in preds}, {s for s in stems if s})
        if preds and stems
        else None
    )
    return found[0] if found and not found[1] else ''


def sentence(preset: Preset, chosen: dict[str, Any], by_default: bool) -> str:
    """What a preset decided, in one line; ``by_default``: nobody said whether predictions are classes or label ids."""
    said = [f'{chosen["num_classes"]} classes'] if 'num_classes' in chosen else []
    if 'ignore_index' in chosen:
        said.append(f'{chosen["ignore_index"]} ignored')
    for name, where in (('gt_suffix', 'GT'), ('pred_suffix', 'PRED')):
        if chosen.get(name):
            said.append(f'names in {where} end with {chosen[name]}')
    if chosen.get('by_name'):
        said.append('matched by name alone')
    if chosen.get('gt_ids') == 'label-ids':
        said.append('label ids of GT mapped to classes')
    if 'gt_palette' in chosen:
        said.append('colours of GT are classes')
    if preset.label_ids and by_default:
        said.append('PRED read as classes, not as label ids (--pred-ids label-ids)')
    if chosen.get('reduce_zero_label'):
        said.append("GT's label 0 ignored, every other one less; predictions are classes from 0 on")
    return f'Preset {preset.name}: {", ".join(said) or "everything was given by hand"}'
