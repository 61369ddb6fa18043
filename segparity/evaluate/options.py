"""The options of ``segparity evaluate`` and ``segparity merge``, and the settings that they make."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from segparity.arguments import integer_or_none, positive_integer, real_number
from segparity.evaluate.preset_option import PresetOption

if TYPE_CHECKING:
    from typing import Any

    from segparity.evaluate.palette import Palette
    from segparity.evaluate.settings import Settings

BY_DEFAULT = object()  # --ignore-index was not given, which is 255
MOST_CLASSES = 1 << 16  # what 16 bits tell apart; a table of all pairs of more does not fit into memory


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.usage = 'segparity evaluate PRED GT --num-classes N | --preset NAME [options]'
    parser.description = (
        'Compares predictions with the ground truth. PRED and GT are two folders (searched recursively, matched by\n'
        'relative path), two text files that list one path per line, or two single maps: PNG, TIFF (several pages: a\n'
        'volume), NPY, NIfTI, and for PRED also NPZ (classes first) or NIfTI (classes last) with probabilities, which\n'
        'adds ECE and SCE.\n\n'
        'Overlap metrics are always measured; --boundary and --distances cost several times as much and are extra.\n'
        'A killed run continues with the same command. Exit code: 0, or 2 for wrong input.'
    )
    parser.add_argument('pred', metavar='PRED', type=Path)
    parser.add_argument('gt', metavar='GT', type=Path)

    group = parser.add_argument_group('classes and labels')
    group.add_argument(
        '--preset',
        action=PresetOption,
        metavar='NAME',
        help='classes, ignored label, ids, colours and file names of a data set, for whatever is not given: cityscapes, '
        'ade20k, voc, ...; list names all',
    )
    parser.set_defaults(classes_of_preset=None, palette_of_preset=None)
    group.add_argument('--num-classes', type=class_count, metavar='N', help='number of classes; --binary has 2')
    group.add_argument(
        '--classes', metavar='A,B,..|FILE', help='names of the classes, or a file: one on each line, JSON, YAML'
    )
    group.add_argument(
        '--ignore-index',
        type=integer_or_none,
        default=BY_DEFAULT,
        metavar='ID',
        help='label that counts nowhere, or none [255]; 255 given says that it is no foreground of two classes',
    )
    group.add_argument(
        '--reduce-zero-label',
        action=argparse.BooleanOptionalAction,
        help="as in MMSegmentation: the ground truth's label 0 is ignored, every other one less",
    )
    group.add_argument('--reduce-zero-label-pred', action='store_true', help='the same for the predictions')
    group.add_argument(
        '--gt-ids',
        choices=('classes', 'label-ids'),
        help="whether the ground truth holds classes, or the label ids of the preset's data set [by the name of its files]",
    )
    group.add_argument('--pred-ids', choices=('classes', 'label-ids'), help='the same for the predictions [classes]')
    group.add_argument(
        '--palette', type=Path, metavar='FILE', help="the colours are the classes, in both folders; or a preset's name"
    )
    group.add_argument('--pred-palette', type=Path, metavar='FILE', help='only in the predictions')
    group.add_argument('--gt-palette', type=Path, metavar='FILE', help='only in the ground truth')
    group.add_argument(
        '--unknown',
        choices=('error', 'ignore', 'count'),
        default='error',
        help='a label or colour of the ground truth that is no class is an error, is ignored, or belongs to no class, so '
        'that what is predicted there is a false positive [error]',
    )

    group.add_argument(
        '--unknown-pred',
        choices=('error', 'wrong'),
        default='error',
        help='a prediction that is no class is an error, or is wrong: the class of the label is missed, and no class is a '
        'false positive [error]',
    )

    group = parser.add_argument_group('which files belong together')
    group.add_argument('--pred-suffix', metavar='TEXT', help='what follows an image name in PRED')
    group.add_argument('--gt-suffix', metavar='TEXT', help='what follows an image name in GT: _gtFine_labelTrainIds')
    group.add_argument(
        '--by-name', action=argparse.BooleanOptionalAction, help='match by file name alone, whatever the folders'
    )
    group.add_argument('--split', type=Path, metavar='FILE', help='only the images named in it, one on each line')
    group.add_argument(
        '--root', type=Path, metavar='DIR', help='identities of images are relative to this folder [GT, or its folder]'
    )
    group.add_argument(
        '--affine',
        choices=('check', 'ignore'),
        default='check',
        help='NIfTI volumes of a pair are laid along the same axes and must lie in the same place, or are compared voxel by '
        'voxel [check]',
    )
    group.add_argument(
        '--shard', type=shard, default=(1, 1), metavar='K/N', help='only every N-th pair, beginning with the K-th'
    )

    group = parser.add_argument_group('what is measured')
    group.add_argument('--boundary', action='store_true', help='BoundaryIoU as well')
    group.add_argument(
        '--ratio', type=real_number, metavar='R', help="width of the boundary over the image's diagonal [0.02]"
    )
    group.add_argument('--distances', action='store_true', help='HD, HD95 and ASSD as well')
    group.add_argument(
        '--spacing', type=numbers, metavar='Y,X', help="size of a pixel along each axis [1, of NIfTI the header's]"
    )
    group.add_argument('--all', action='store_true', help='--boundary --distances')
    group.add_argument('--bins', type=positive_integer, metavar='N', help='bins of the calibration errors [10]')
    group.add_argument('--no-calibration', action='store_true', help='no ECE and SCE of probabilities')
    add_report_arguments(parser)

    group = parser.add_argument_group('how it runs')
    group.add_argument('--workers', type=positive_integer, metavar='N', help='processes [every usable core]')
    group.add_argument('--dask', metavar='ADDRESS', help='send the work to this Dask scheduler (tcp://host:8786)')
    group.add_argument('--skip-bad', action='store_true', help='go on without pairs that cannot be used, and list them')
    group.add_argument('--fresh', action='store_true', help='forget what an unfinished run has done')
    add_output_arguments(parser)


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """What is made of the counts; of each option None means that it was not given."""
    group = parser.add_argument_group('what is reported')
    group.add_argument('--levels', type=words, metavar='D,I,C', help='over the data set, images, classes [D,I,C]')
    group.add_argument('--q', type=percents, metavar='1,5', help='worst-case: the lowest q per cent, or none [1,5]')
    group.add_argument('--metrics', type=words, metavar='mIoU,..', help='[mAcc,mIoU,mDice,mPrecision,mFscore]')
    group.add_argument('--beta', type=real_number, help='weight of recall in mFscore [1]')
    group.add_argument(
        '--present-in', choices=('target', 'either'), help='where a class must occur to count in an image [target]'
    )
    group.add_argument('--binary', action='store_true', default=None, help='two classes of which only 1 counts')
    group.add_argument(
        '--empty', choices=('inf', 'diagonal'), help="the distance to nothing: infinite, or the image's diagonal [inf]"
    )
    group.add_argument('--hit', choices=('label', 'argmax'), help='what SCE counts as a hit [label]')


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('what is written')
    group.add_argument('--state', type=Path, metavar='FILE', help='mergeable state (.npz), for segparity merge')
    group.add_argument(
        '--per-image', type=Path, metavar='FILE', help='table of every class of every image (.csv, .parquet)'
    )
    group.add_argument('--json', type=Path, metavar='FILE', help='results as fractions; - is the standard output')
    group.add_argument('--quiet', action='store_true', help='no progress bar and no tables')


def add_merge_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        'Adds up the states that segparity evaluate --state has written: the answer is that of one run over all images, '
        'to the last digit. An image that is in several counts once. The options that say what is reported report '
        'anew from the same counts.'
    )
    parser.add_argument('states', metavar='STATE', nargs='+', type=Path)
    add_report_arguments(parser)
    add_output_arguments(parser)


REPORT = ('levels', 'q', 'metrics', 'beta', 'present_in', 'binary', 'empty', 'hit')


def report_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The settings of the report options that were given."""
    return {name: getattr(options, name) for name in REPORT if getattr(options, name) is not None}


def settings_of(options: argparse.Namespace, calibration: bool) -> Settings:
    """The settings that the options of ``evaluate`` describe."""
    from segparity.evaluate.settings import Settings
    from segparity.evaluate.wording import name_options

    if options.palette and (options.pred_palette or options.gt_palette):
        raise ValueError('--palette is for both folders: give it alone, or --pred-palette and --gt-palette')
    palettes: dict[str, Any] = {
        key: palette_of(path) if path else None
        for key, path in (
            ('pred_palette', options.pred_palette or options.palette),
            ('gt_palette', options.gt_palette or options.palette),
        )
    }
    palettes['gt_palette'] = palettes['gt_palette'] or options.palette_of_preset
    for side in ('gt', 'pred'):
        if getattr(options, f'{side}_ids') == 'label-ids' and not options.preset:
            raise ValueError(f'--{side}-ids label-ids are those of a --preset, which is not given')
    given: dict[str, Any] = {
        name: getattr(options, name) for name in ('ratio', 'spacing', 'bins') if getattr(options, name) is not None
    }
    boundary, distances = options.boundary or options.all, options.distances or options.all
    needs = {
        'ratio': (boundary, '--boundary, which is not given'),
        'spacing': (distances, '--distances, which is not given'),
        'empty': (distances, '--distances, which is not given'),
        'bins': (calibration, 'probabilities (.npz), which are not measured here'),
        'hit': (calibration, 'probabilities (.npz), which are not measured here'),
    }
    for name, (used, what) in needs.items():
        if getattr(options, name) is not None and not used:
            raise ValueError(f'--{name} is for {what}')
    with name_options():
        return Settings(
            classes=class_names(options, palettes['gt_palette'] or palettes['pred_palette']),
            ignore_index=255 if options.ignore_index is BY_DEFAULT else options.ignore_index,
            ignored_by_default=options.ignore_index is BY_DEFAULT,
            reduce_zero_label=bool(options.reduce_zero_label),
            reduce_zero_label_pred=options.reduce_zero_label_pred,
            unknown=options.unknown,
            unknown_pred=options.unknown_pred,
            gt_ids=options.preset.ids() if options.gt_ids == 'label-ids' else None,
            pred_ids=options.preset.ids() if options.pred_ids == 'label-ids' else None,
            affine=options.affine,
            boundary=boundary,
            distances=distances,
            calibration=calibration,
            **palettes,
            **given,
            **report_settings(options),
        )


def palette_of(path: Path) -> Palette:
    """The palette of a file, or of the preset of that name where there is no such file."""
    from segparity.evaluate.palette import read_palette
    from segparity.evaluate.presets import presets

    return presets()[str(path)].palette() if str(path) in presets() and not path.exists() else read_palette(path)


def class_names(options: argparse.Namespace, palette: Palette | None) -> tuple[str, ...]:
    """As many names as there are classes: of --classes, the preset, the palette, --num-classes or --binary."""
    from segparity.evaluate.class_lists import read_classes

    number, names = options.num_classes, None
    if options.classes:
        path = Path(options.classes)
        names = read_classes(path) if path.is_file() else [name.strip() for name in options.classes.split(',')]
        names = [name for name in names if name]
        if number not in (None, len(names)):
            raise ValueError(f'--num-classes is {number}, but --classes names {len(names)}')
    elif options.classes_of_preset:
        names = options.classes_of_preset
    elif palette and number in (None, len(palette.names)):
        names = [name or f'class {k}' for k, name in enumerate(palette.names)]
    elif number or options.binary:
        two = options.binary and number in (None, 2)
        names = ['background', 'foreground'] if two else [f'class {k}' for k in range(number)]
    if not names:
        raise ValueError('how many classes are there? --num-classes N, --classes a,b,c or --preset NAME')
    return tuple(names)


def class_count(text: str) -> int:
    if positive_integer(text) > MOST_CLASSES:
        raise argparse.ArgumentTypeError(f'at most {MOST_CLASSES} classes, got {text}')
    return int(text)


def words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(',') if word.strip())


def numbers(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(word) for word in text.split(','))
    except ValueError:
        found = (math.nan,)
    if not all(0 < v < math.inf for v in found):
        raise argparse.ArgumentTypeError(f'numbers above 0 with commas between, got {text!r}')
    return found


def percents(text: str) -> tuple[int, ...]:
    try:
        return () if text.lower() == 'none' else tuple(int(word) for word in text.split(','))
    except ValueError:
        raise argparse.ArgumentTypeError(f'whole numbers with commas between, or none, got {text!r}') from None


def shard(text: str) -> tuple[int, int]:
    part, _, parts = text.partition('/')
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f'K/N with K from 1 to N, got {text!r}')
    return int(part), int(parts)
