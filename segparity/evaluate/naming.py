"""What follows an image's name in each folder, found from the names themselves."""

import os
import shlex
from collections import Counter
from collections.abc import Collection, Iterator

FEWEST = 2  # images that have to agree on an ending


def infer_suffixes(preds: Collection[str], targets: Collection[str]) -> tuple[str, str] | None:
    """(suffix in PRED, suffix in GT) that pair all names of one folder with the other, one to one; None where there is
    no such pair of suffixes, or more than one.

    ``preds``, ``targets``: names without extension, folders included. A suffix begins with a separator ('_', '-', '.')
    and has a letter, so that numbers stay with the image; the shortest of PRED comes first.
    """
    for pred_suffix in common_endings(preds):
        stems = {name[: len(name) - len(pred_suffix)] for name in preds}
        times = endings(stems, targets)
        complete = {len(stems), len(targets)}
        found = [s for s, n in times.items() if n >= FEWEST and n in complete]
        if found:
            return (pred_suffix, found[0]) if len(found) == 1 else None
    return None


def common_endings(names: Collection[str]) -> Iterator[str]:
    """'' and what may be a suffix in the common end of all names, the shortest first; something is left of each."""
    bare = [name.rpartition('/')[2] for name in names]
    common = os.path.commonprefix([name[::-1] for name in bare])[::-1]
    shortest = min(map(len, bare))
    for length in range(min(len(common), shortest - 1) + 1):
        if is_suffix(common[len(common) - length :]):
            yield common[len(common) - length :]


def endings(stems: Collection[str], targets: Collection[str]) -> Counter[str]:
    """How many names are a stem and this suffix."""
    found: Counter[str] = Counter()
    for name in targets:
        start = name.rfind('/') + 2
        cuts = (cut for cut in range(start, len(name) + 1) if is_suffix(name[cut:]))
        found.update(name[cut:] for cut in cuts if name[:cut] in stems)
    return found


def is_suffix(text: str) -> bool:
    return not text or (text[0] in '_-. ' and any(c.isalpha() for c in text))


def sentence(pred_suffix: str, gt_suffix: str) -> str:
    """What was inferred, in the options that say the same."""
    options = f'--pred-suffix {shlex.quote(pred_suffix)} --gt-suffix {shlex.quote(gt_suffix)}'
    return f'No prediction has the name of a ground truth: read with {options}, which pair them one to one'
