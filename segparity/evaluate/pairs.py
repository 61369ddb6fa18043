"""Which prediction belongs to which ground truth: folders, lists of files, or two single maps."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from segparity.evaluate.naming import infer_suffixes
from segparity.evaluate.nifti import NIFTI
from segparity.evaluate.splits import Split, chosen_names

MAPS = ('.png', '.tif', '.tiff', '.npy', *NIFTI)  # label maps
PROBABILITIES = '.npz'
SHOWN = 10  # how many names a message lists


class Pair(NamedTuple):
    """One image: its identity and the absolute paths of its two files."""

    image: str
    pred: str
    target: str


class Names(NamedTuple):
    """How the files of a data set are named: what follows an image's name in each folder, and whether the folders
    below PRED and GT are part of the name."""

    pred_suffix: str = ''
    gt_suffix: str = ''
    by_name: bool = False


SAME_NAMES = Names()


def find_pairs(
    pred: str | Path,
    gt: str | Path,
    names: Names = SAME_NAMES,
    root: str | Path | None = None,
    split: Split | None = None,
    inferred: Callable[[Names], None] = lambda names: None,
) -> tuple[list[Pair], list[tuple[str, str]]]:
    """(pairs, missing): the pairs in order of their identity, and (image, reason) where a partner is missing.

    ``pred`` and ``gt`` are two folders, two lists (one path per line, relative to the list's folder) or two maps. The
    identity is the ground truth's path without suffix, relative to ``root``, or else to the folder or list that it was
    found through. Of folders a ``split`` chooses the images, and where no names match and no suffix is given, suffixes
    are inferred and ``inferred`` is called with them.
    """
    pred, gt = Path(pred), Path(gt)
    kinds = [kind(path, option) for path, option in ((pred, 'PRED'), (gt, 'GT'))]
    if kinds[0] != kinds[1]:
        raise ValueError(f'PRED and GT must be of one kind, got a {kinds[0]} ({pred}) and a {kinds[1]} ({gt})')
    root = Path(root or (gt if kinds[1] == 'folder' else gt.parent)).absolute()
    if kinds[1] == 'folder':
        pairs, missing = in_folders(pred, gt, names, root, split, inferred)
    elif split:
        raise ValueError(f'--split chooses images of two folders, got a {kinds[1]}')
    elif kinds[1] == 'list':
        pairs, missing = in_lists(pred, gt, names, root)
    else:
        pairs, missing = [pair_of(pred, gt, names, root)], []
    return without_repeats(pairs), missing


def kind(path: Path, option: str) -> str:
    """'folder', 'map' or 'list'."""
    if path.is_dir():
        return 'folder'
    if not path.exists():
        raise FileNotFoundError(f'{option} {path} does not exist')
    return 'map' if bare_and_type(path.name)[1].lower() in (*MAPS, PROBABILITIES) else 'list'


def pair_of(pred: Path, gt: Path, names: Names, root: Path) -> Pair:
    return Pair(identity(gt, names.gt_suffix, root), os.path.abspath(pred), os.path.abspath(gt))


def identity(path: Path, suffix: str, root: Path) -> str:
    """The path without its suffixes, with slashes, relative to ``root`` where it lies in it."""
    path = Path(os.path.abspath(path))
    path = path.relative_to(root) if path.is_relative_to(root) else path
    return path.with_name(stem(path.name, suffix) or bare_and_type(path.name)[0]).as_posix()


def bare_and_type(name: str) -> tuple[str, str]:
    """A file's name and its type, which for NIfTI may be '.nii.gz'."""
    bare, extension = os.path.splitext(name)
    if extension.lower() == '.gz' and bare.lower().endswith('.nii'):
        return bare[:-4], bare[-4:] + extension
    return bare, extension


def stem(name: str, suffix: str) -> str | None:
    """A file's name without ``suffix`` ('_gtFine_labelIds' or '_gtFine_labelIds.png'); None where it ends otherwise."""
    bare, extension = bare_and_type(name)
    if suffix.lower().endswith((*MAPS, PROBABILITIES)):
        suffix, wanted = bare_and_type(suffix)
        if extension.lower() != wanted.lower():
            return None
    if not bare.endswith(suffix) or bare == suffix:
        return None
    return bare[: len(bare) - len(suffix)]


def in_folders(
    pred: Path, gt: Path, names: Names, root: Path, split: Split | None, inferred: Callable[[Names], None]
) -> tuple[list[Pair], list[tuple[str, str]]]:
    """Pairs by the path below the folder, or by the file's name alone."""
    preds = files(pred, 'PRED', names.pred_suffix, (*MAPS, PROBABILITIES), names.by_name)
    targets = files(gt, 'GT', names.gt_suffix, MAPS, names.by_name)
    both = preds.keys() & targets.keys()
    suffixes = infer_suffixes(preds, targets) if not both and not names.pred_suffix and not names.gt_suffix else None
    if suffixes:
        found = Names(*suffixes, names.by_name)
        inferred(found)
        return in_folders(pred, gt, found, root, split, inferred)
    if not both:
        hint = ''
        if not names.by_name and {k.split('/')[-1] for k in preds} & {k.split('/')[-1] for k in targets}:
            hint = '; --by-name leaves the folders out of the names'
        elif not names.pred_suffix and not names.gt_suffix:
            hint = '; --pred-suffix and --gt-suffix name what follows the common part'
        raise ValueError(
            f'no prediction has the name of a ground truth: PRED has {len(preds)} such as {min(preds)!r}, '
            f'GT has {len(targets)} such as {min(targets)!r}{hint}'
        )
    absent: list[tuple[str, str]] = []
    if split:
        chosen, unknown = chosen_names(split, preds.keys() | targets.keys(), (names.pred_suffix, names.gt_suffix))
        preds, targets = ({k: path for k, path in found.items() if k in chosen} for found in (preds, targets))
        both = both & chosen
        absent = [(line, f'is in the split {split.path}, but in neither folder') for line in unknown]
        if not both:
            raise ValueError(
                f'no image of the split {split.path}, such as {split.lines[0]!r}, has a prediction and a ground truth'
            )
    pairs = [pair_of(preds[key], targets[key], names, root) for key in both]
    missing = absent + [
        (identity(targets[k], names.gt_suffix, root), 'has no prediction') for k in targets.keys() - both
    ]
    missing += [(k, f'has no ground truth, only the prediction {preds[k]}') for k in preds.keys() - both]
    return pairs, sorted(missing)


def files(folder: Path, option: str, suffix: str, extensions: tuple[str, ...], by_name: bool) -> dict[str, Path]:
    """Name -> path of every map below the folder whose name ends as it should."""
    found: dict[str, Path] = {}
    others: set[str] = set()
    for path in sorted(walk(folder, set())):
        kind = bare_and_type(path.name)[1].lower()
        if kind not in extensions:
            others.add(kind)
            continue
        bare = stem(path.name, suffix)
        if bare is None:
            continue
        key = bare if by_name else path.relative_to(folder).with_name(bare).as_posix()
        if key in found:
            raise ValueError(f'{option} has two maps of the image {key!r}: {found[key]} and {path}')
        found[key] = path
    if not found:
        ending = f' whose name ends with {suffix!r}' if suffix else ''
        seen = f'; it has {", ".join(sorted(o for o in others if o))}' if any(others) else ''
        raise ValueError(f'{option} {folder} has no {", ".join(extensions)} file{ending}{seen}')
    return found


def walk(folder: Path, seen: set[str]) -> Iterator[Path]:
    """Every file below, links followed (once), hidden ones left out."""
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    for entry in Path(folder).iterdir():
        if entry.name.startswith('.'):
            continue
        if entry.is_dir():
            yield from walk(entry, seen)
        elif entry.is_file() or not entry.exists():  # a pipe would be waited for
            yield entry


def in_lists(pred: Path, gt: Path, names: Names, root: Path) -> tuple[list[Pair], list[tuple[str, str]]]:
    """Pairs line by line."""
    preds, targets = lines(pred), lines(gt)
    if len(preds) != len(targets):
        raise ValueError(
            f'the lists must have one line for each image, got {len(preds)} in {pred} and {len(targets)} in {gt}'
        )
    pairs, missing = [], []
    for p, t in zip(preds, targets):
        pair = pair_of(p, t, names, root)
        absent = [word for word, path in (('prediction', p), ('ground truth', t)) if not path.is_file()]
        if absent:
            path = p if absent[0] == 'prediction' else t
            missing.append((pair.image, f'has no {" and no ".join(absent)}: {path} does not exist'))
        else:
            pairs.append(pair)
    return pairs, missing


def lines(path: Path) -> list[Path]:
    try:
        text = path.read_text(encoding='utf-8')
    except UnicodeDecodeError:
        raise ValueError(
            f'{path} is neither a map ({", ".join((*MAPS, PROBABILITIES))}) nor a list of files in UTF-8'
        ) from None
    found = [path.parent / line.strip() for line in text.splitlines() if line.strip()]
    if not found:
        raise ValueError(f'the list {path} names no file')
    return found


def without_repeats(pairs: list[Pair]) -> list[Pair]:
    """In order of identity; a line that says the same twice counts once, two predictions of one image do not pass."""
    found: dict[str, Pair] = {}
    for pair in pairs:
        if found.setdefault(pair.image, pair) != pair:
            first = found[pair.image]
            which = (first.pred, pair.pred) if first.target == pair.target else (first.target, pair.target)
            raise ValueError(f'the image {pair.image!r} is listed with {which[0]} and with {which[1]}')
    return [found[image] for image in sorted(found)]


def shard(pairs: list[Pair], part: int, parts: int) -> list[Pair]:
    """Every ``parts``-th pair, beginning with number ``part`` (from 1)."""
    return pairs[part - 1 :: parts]


def missing_sentence(missing: list[tuple[str, str]]) -> str:
    """One sentence that names the first of the images whose partner is missing, and how many there are."""
    named = '; '.join(f'{image!r} {reason}' for image, reason in missing[:SHOWN])
    more = f'; and {len(missing) - SHOWN} more' if len(missing) > SHOWN else ''
    return f'{len(missing)} without a partner: {named}{more} (--skip-bad goes on without them)'
