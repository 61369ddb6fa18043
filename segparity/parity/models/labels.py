"""Whether two files encode the same labels in the same way."""

from collections import Counter

import numpy as np

RENAMED = 0.9  # of the pixels that a renaming of ids has to explain


def count_pairs(a: np.ndarray, b: np.ndarray, into: Counter[tuple[int, int]]) -> None:
    """Adds how often each pair of ids meets in a pixel; a and b of one shape."""
    stacked = np.stack([a.reshape(-1).astype(np.int64), b.reshape(-1).astype(np.int64)], 1)
    found, counts = np.unique(stacked, axis=0, return_counts=True)
    for (one, two), count in zip(found.tolist(), counts.tolist()):
        into[one, two] += count


def mapping(pairs: Counter[tuple[int, int]]) -> tuple[dict[int, int], float]:
    """(id of a -> id of b that it mostly is, the share of pixels for which that is so)."""
    best: dict[int, tuple[int, int]] = {}
    for (one, two), count in sorted(pairs.items()):
        if count > best.get(one, (0, 0))[1]:
            best[one] = two, count
    return {one: two for one, (two, _) in best.items()}, sum(n for _, n in best.values()) / sum(pairs.values())


def in_words(pairs: Counter[tuple[int, int]]) -> list[str]:
    """How the labels of b differ from those of a; [] where they are the same."""
    total = sum(pairs.values())
    same = sum(n for (one, two), n in pairs.items() if one == two)
    if same == total:
        return []
    to, share = mapping(pairs)
    changed = {one: two for one, two in to.items() if one != two}
    if not changed or share < RENAMED:
        sentence = (
            f'labels differ in {total - same:,} of {total:,} pixels ({100 * (total - same) / total:.2g} %), and no renaming of '
            f'ids explains it: are they of the same images, resized without interpolation?'
        )
        return [sentence]
    told = [f'labels are encoded differently: {kind(to)}']
    if share < 1:
        told.append(f'beyond that they differ in {100 * (1 - share):.2g} % of the pixels')
    if len(set(to.values())) < len(to):
        merged = sorted({two for two in to.values() if list(to.values()).count(two) > 1})
        told.append(f'several ids of a are one of b: {", ".join(map(str, merged))}')
    return told


def wrapped(to: dict[int, int]) -> list[int]:
    """The id at one end that an offset of one took to the other: 0 of three or more ids that are one less, the top if more."""
    for end, step in ((min, -1), (max, 1)):
        one = end(to, default=0)
        rest = {two - other for other, two in to.items() if other != one}
        if len(to) > 2 and rest == {step} and to[one] != one + step:
            return [one]
    return []


def recode(pairs: Counter[tuple[int, int]]) -> dict[int, int] | None:
    """(id of b -> id of a), {} where labels are encoded alike; None where no renaming explains how they differ."""
    to, share = mapping(pairs)
    if all(one == two for one, two in to.items()):
        return {}
    back = {two: one for one, two in to.items()}
    strange = {two for _, two in pairs} - set(back)  # ids of b that are mostly nothing of a
    return back if share >= RENAMED and len(back) == len(to) and not strange & set(to) else None


def recoded(ids: np.ndarray, back: dict[int, int]) -> np.ndarray:
    """Ids of b in the encoding of a; those that are not in ``back`` stay."""
    found = ids.astype(np.int64)
    for two, one in back.items():
        found[ids == two] = one
    return found


def kind(to: dict[int, int]) -> str:
    """The name of a renaming of ids."""
    changed = {one: two for one, two in to.items() if one != two}
    listed = ', '.join(f'{one} of a is {two} of b' for one, two in list(changed.items())[:6])
    listed += f' and {len(changed) - 6} more' if len(changed) > 6 else ''
    for name, letter, renamed in (('a', 'b', to), ('b', 'a', {two: one for one, two in to.items()})):
        zero = renamed.get(0)
        if set(renamed) <= {0, 1} and renamed.get(1) == 255 and zero in (None, 0):
            return f'{name} has masks of 0 and 1, {letter} of 0 and 255 ({letter} is to be divided by 255)'
        shifted = [one for one in renamed if one not in (0, 255)]
        if zero == 255 and shifted and all(renamed[one] == one - 1 for one in shifted):
            return f'{letter} is {name} with reduce_zero_label=True (0 became 255, the others are one less): {listed}'
    apart = [one for one in to if {one, to[one]} & {255, -1}]  # the ignored label, or what it wrapped to
    apart += wrapped({one: two for one, two in to.items() if one not in apart})
    offsets = {to[one] - one for one in to if one not in apart}
    extra = ', '.join(f'{one} of a is {to[one]} of b' for one in apart if one in changed)
    extra = f' ({extra})' if extra else ''
    if offsets == {0}:
        return f'the ignored label differs: {listed}'
    if len(offsets) == 1:
        step = offsets.pop()
        start = '1 more' if step == 1 else '1 less' if step == -1 else f'{abs(step)} {"more" if step > 0 else "less"}'
        return f'every id of b is {start} than that of a{extra}'
    if set(changed) == set(changed.values()):
        return f'ids are permuted: {listed}'
    return f'ids are renamed: {listed}'
