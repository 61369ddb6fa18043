"""What determines the numbers: declared once, checked by the specs, written into state files and journals."""

import dataclasses
import hashlib
import json
from typing import Any, Self

from segparity.evaluate.label_ids import LabelIds
from segparity.evaluate.palette import Palette
from shared_spec import METRICS, SpecError

OVERLAP = ('mAcc', 'mIoU', 'mDice', 'mPrecision', 'mFscore')
UNKNOWN_LABELS = ('error', 'ignore', 'count')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The fields under ``REPORTED`` say what is made of the counts; all others what is counted, or what is refused."""

    classes: tuple[str, ...]
    ignore_index: int | None = 255
    reduce_zero_label: bool = False
    reduce_zero_label_pred: bool = False
    pred_palette: Palette | None = None
    gt_palette: Palette | None = None
    unknown: str = 'error'
    boundary: bool = False
    ratio: float = 0.02
    distances: bool = False
    spacing: tuple[float, ...] | None = None
    calibration: bool = False
    bins: int = 10
    levels: tuple[str, ...] = ('D', 'I', 'C')
    q: tuple[int, ...] = (1, 5)
    metrics: tuple[str, ...] = OVERLAP
    beta: float = 1.0
    present_in: str = 'target'
    binary: bool = False
    empty: str = 'inf'
    hit: str = 'label'
    # label ids and their classes, where the files hold those and not class ids
    gt_ids: LabelIds | None = None
    pred_ids: LabelIds | None = None
    unknown_pred: str = 'error'
    # whether 255 is ignored because nobody said otherwise; of a run alone, its state file is that of any other
    ignored_by_default: bool = dataclasses.field(default=False, compare=False)
    affine: str = 'check'  # of NIfTI volumes, or 'ignore'

    def __post_init__(self) -> None:
        """Raises SpecError for what a spec refuses, ValueError for what contradicts itself."""
        self.specs()
        palettes = [p for p in (self.pred_palette, self.gt_palette) if p]
        for palette in palettes:
            if len(palette.names) > self.num_classes:
                raise ValueError(f'the palette has {len(palette.names)} classes, expected {self.num_classes} at most')
        ignoring = {
            '--reduce-zero-label': self.reduce_zero_label,
            '--unknown ignore': self.unknown == 'ignore',
            '--gt-ids label-ids': any(class_id is None for _, class_id in self.gt_ids or ()),
            "a palette with an entry 'ignore'": any(c[3] is None for p in palettes for c in p.colours),
        }
        if self.ignore_index is None and any(ignoring.values()):
            named = next(name for name, used in ignoring.items() if used)
            raise ValueError(f'{named} needs an --ignore-index, got none')
        for side, ids, coded in (('gt', self.gt_ids, self.gt_palette), ('pred', self.pred_ids, self.pred_palette)):
            if ids and coded:
                raise ValueError(
                    f'--{side}-ids label-ids is for maps of ids, but their palette makes classes of colours'
                )
        if palettes and self.ignore_index is not None and abs(self.ignore_index) >= 1 << 15:
            raise ValueError(f'with a palette --ignore-index must be below {1 << 15}, got {self.ignore_index}')
        if len(set(self.classes)) != len(self.classes):
            twice = next(c for c in self.classes if self.classes.count(c) > 1)
            raise ValueError(f'the classes must have different names, got {twice!r} twice')

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def may_hide_foreground(self) -> bool:
        """Whether masks of 0 and 255 would lose their foreground to the label that is ignored."""
        return self.num_classes == 2 and self.ignore_index == 255 and not self.reduce_zero_label

    @property
    def refuses_hidden_foreground(self) -> bool:
        """Whether such masks are an error: where 255 is ignored because nobody said otherwise."""
        return self.ignored_by_default and self.may_hide_foreground

    def specs(self) -> dict[str, Any]:
        """Part -> the spec of what it reports, of the parts that are measured."""
        common = dict(num_classes=self.num_classes, ignore_index=self.ignore_index, binary=self.binary)
        present = dict(present_in=self.present_in)
        found = {
            'overlap': METRICS['FineGrained'](
                levels=self.levels, q=self.q, metrics=self.metrics, beta=self.beta, **present, **common
            )
        }
        if self.boundary:
            found['boundary'] = METRICS['BoundaryIoU'](levels=self.levels, ratio=self.ratio, **present, **common)
        if self.distances:
            found['distances'] = METRICS['SurfaceDistance'](
                levels=self._levels('I', 'C', of='distances'),
                spacing=self.spacing,
                empty=self.empty,
                **present,
                **common,
            )
        if self.calibration:
            levels = self._levels('D', 'I', of='calibration')
            found['calibration'] = METRICS['Calibration'](levels=levels, bins=self.bins, hit=self.hit, **common)
        return found

    def _levels(self, *known: str, of: str) -> tuple[str, ...]:
        levels = tuple(level for level in self.levels if level in known)
        if not levels:
            rule = f'must have {" or ".join(known)} for {of}, got {self.levels}'
            raise SpecError(rule, parameter='levels', given=self.levels)
        return levels

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; without ``ignored_by_default``, which changes no number, and without what is ``LATER`` and not used."""
        found = {k: v for k, v in dataclasses.asdict(self).items() if k != 'ignored_by_default'}
        for name, value in LATER.items():
            if found[name] == value:
                del found[name]  # so that files are those of versions that did not know it
        return json.loads(json.dumps(found, default=list))

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Self:
        """Raises ValueError where the dict is not one that ``to_dict`` wrote."""
        names = {field.name for field in dataclasses.fields(cls)} - {'ignored_by_default'}
        found = {**LATER, **found}
        for name in sorted(names ^ found.keys()):
            raise ValueError(f'its settings {"lack" if name in names else "have an unknown"} {name!r}')
        found = {key: lists_to_tuples(value) for key, value in found.items()}
        for key in ('pred_palette', 'gt_palette'):
            if found[key] is not None:
                found[key] = Palette(*found[key])
        return cls(**found)

    def counting_fields(self) -> dict[str, Any]:
        """The fields that determine what is counted, as a dict."""
        return {key: value for key, value in self.to_dict().items() if key not in REPORTED}

    def key(self) -> str:
        """A hash of what is counted and refused: the rows of an earlier run may be used again where it is the same."""
        found = self.counting_fields() | ({'refused': 'hidden foreground'} if self.refuses_hidden_foreground else {})
        return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()

    def replace(self, **changes: Any) -> Self:
        return dataclasses.replace(self, **changes)


# settings that came later, and what they are in files of before
LATER: dict[str, Any] = {'affine': 'check', 'gt_ids': None, 'pred_ids': None, 'unknown_pred': 'error'}
REPORTED = ('levels', 'q', 'metrics', 'beta', 'present_in', 'binary', 'empty', 'hit')


def lists_to_tuples(value: Any) -> Any:
    return tuple(lists_to_tuples(v) for v in value) if isinstance(value, list) else value


def difference(one: Settings, other: Settings) -> str | None:
    """The first setting in which two differ, in words; None where they agree."""
    mine, theirs = ({**LATER, **settings.to_dict()} for settings in (one, other))
    for key in mine:
        if mine[key] != theirs[key]:
            if key == 'classes' and len(mine[key]) != len(theirs[key]):
                return f'{len(mine[key])} and {len(theirs[key])} classes'
            if key.endswith('palette'):
                return f'--{key.replace("_", "-")}: two different palettes'
            if key.endswith('_ids'):
                return f'--{key.replace("_", "-")}: the ids of the files stand for different classes'
            if key == 'classes':
                index = next(i for i, (a, b) in enumerate(zip(mine[key], theirs[key])) if a != b)
                return f'class {index}: {mine[key][index]!r} and {theirs[key][index]!r}'
            return in_words(key, mine[key], theirs[key])
    return None


def in_words(key: str, one: Any, other: Any) -> str:
    """'--bins: 10 and 15'; of what is given or not, which of the two has it."""
    if key == 'calibration':
        return f'{"only the first" if one else "only the second"} has calibration, of probabilities (.npz)'
    option = '--' + key.replace('_', '-')
    if isinstance(one, bool):
        return f'{option}: only {"the first" if one else "the second"} has it'
    return f'{option}: {option_text(one)} and {option_text(other)}'


def option_text(value: object) -> str:
    """A value as it is typed."""
    if isinstance(value, list):
        return ','.join(map(str, value)) or 'none'
    return 'none' if value is None else str(value)
