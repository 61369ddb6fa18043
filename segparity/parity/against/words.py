"""How a loss and its opponent differ, in sentences that rest on what was computed."""

from collections.abc import Sequence

import numpy as np

from segparity.parity.against.comparison import GRADIENT, VALUE, Comparison, Meeting
from segparity.parity.against.inputs import FACTS
from segparity.parity.against.variants import equal_variant


def sentences(found: Comparison) -> list[str]:
    """What there is to say: how it is called, then what differs."""
    told = [text[0].upper() + text[1:] for text in said(found)]
    return told + [f'Not compared {phrase(name)}: {why}' for name, why in found.not_taken.items()]


def said(found: Comparison) -> list[str]:
    where = f'with {found.channels} channel{"s" * (found.channels > 1)}'
    if found.refused:
        return [f'{where}: {found.refused}']
    told = [f'{where} {found.opponent} is {found.convention}']
    usable = [m for m in found.meetings if not m.error and np.isfinite(m.theirs) and np.isfinite(m.ours)]
    told += failures(found.meetings)
    if found.ok:
        gradients = [m.gradient_difference for m in found.meetings if m.gradient_difference is not None]
        more = f', gradients to {max(gradients):.1e}' if gradients else '; gradients were not compared'
        told.append(
            f'it equals {found.name} in {len(found.meetings)} cases: values to {max(m.difference for m in found.meetings):.1e}{more}'
        )
        return told
    if not usable:
        return told
    if all(m.difference <= VALUE for m in usable):
        wrong = [m for m in usable if not m.ok]
        if wrong:
            told.append(f'values are equal, gradients are not{flat(wrong)}: {listed(wrong)}')
        else:
            told.append('wherever it gives a number it is the same')
        return told
    line = as_line(usable)
    variant = None if line else equal_variant(found.spec, usable)
    if line:
        told += of_line(found, usable, *line)
    elif variant:
        change, factor, offset = variant
        parameters = ', '.join(f'{name}={value!r}' for name, value in change.items())
        before = ', '.join(f'{name}={found.spec.builtin_value(name)!r}' for name in change)
        form = {(1.0, 0.0): '', (-1.0, 1.0): '1 less ', (-1.0, 0.0): 'minus '}[factor, offset]
        told.append(f'it is {form}{found.name} with {parameters}, in place of {before}')
        if form:
            told.append(SCORE)
    else:
        told += of_facts(usable)
    if variant and all_flat(usable):
        told.append(FLAT)
    return told


SCORE = 'it grows with a better prediction: that is a score, and as a loss it trains the wrong way'


def failures(meetings: Sequence[Meeting]) -> list[str]:
    """Cases in which the opponent raises, or is no number where ours is one."""
    told = [f'it fails {words(m)}: {m.error}' for m in meetings if m.error]
    for kind, test in (('NaN', np.isnan), ('infinite', np.isinf)):
        found = [m for m in meetings if not m.error and test(m.theirs) and np.isfinite(m.ours)]
        if found:
            told.append(f'it is {kind} {listed(found)}, where ours is {found[0].ours:.6g}')
    return told


def as_line(usable: Sequence[Meeting]) -> tuple[float, float] | None:
    """(factor, offset) where theirs = factor * ours + offset in all of at least three cases."""
    ours, theirs = (np.array([getattr(m, side) for m in usable]) for side in ('ours', 'theirs'))
    if len(usable) < 3 or np.ptp(ours) < 1e-3:
        return None
    (factor, offset), *_ = np.linalg.lstsq(np.stack([ours, np.ones(len(ours))], 1), theirs, rcond=None)
    rest = np.abs(factor * ours + offset - theirs)
    scale = max(1.0, float(np.abs(theirs).max()))
    return (float(factor), float(offset)) if rest.max() <= VALUE * scale and abs(factor) > 1e-6 else None


def of_line(found: Comparison, usable: Sequence[Meeting], factor: float, offset: float) -> list[str]:
    """Theirs is ours but for a factor and an offset."""
    told = []
    factor, offset = (round(x, 6) + 0.0 for x in (factor, offset))
    if factor == 1:
        told.append(
            f'it is {found.name} {"plus" if offset > 0 else "less"} the constant {abs(offset):g}: training is the same'
        )
    elif factor == -1:
        told.append(f'it is {f"{offset:g} less" if offset else "minus"} {found.name}')
        told.append(SCORE)
    else:
        constant = f' {"plus" if offset > 0 else "less"} the constant {abs(offset):g}' if abs(offset) > 1e-6 else ''
        told.append(
            f'it is {factor:g} times {found.name}{constant}: loss_weight={factor:g} times ours makes them equal'
        )
        if factor < 0:
            told.append(SCORE)
    known = [m for m in usable if m.gradient_difference is not None]
    if known:
        worst = max(m.gradient_error(factor) or 0.0 for m in known)
        if all_flat(known):
            told.append(FLAT)
        elif worst > GRADIENT:
            told.append(f'its gradient is not that of the same factor (off by {worst:.1e} of the largest)')
    return told


FLAT = 'no gradient reaches the prediction (it is rounded, compared, or an argmax is taken): training learns nothing from it'


def all_flat(meetings: Sequence[Meeting]) -> bool:
    known = [m.norm for m in meetings if m.norm is not None]
    return bool(known) and not any(known)


def flat(meetings: Sequence[Meeting]) -> str:
    return f', for {FLAT}' if all_flat(meetings) else ''


def of_facts(usable: Sequence[Meeting]) -> list[str]:
    """In which cases they differ and in which they do not."""
    wrong = [m for m in usable if m.difference > VALUE]
    right = [m for m in usable if m.difference <= VALUE]
    worst = max(wrong, key=lambda m: m.difference)
    told = [f'they differ {listed(wrong)}' + (f', and are equal {listed(right)}' if right else '')]
    told.append(f'most {words(worst)}: ours is {worst.ours:.6g}, theirs {worst.theirs:.6g}')
    told += [FLAT] if all_flat(usable) else []
    return told


def words(meeting: Meeting) -> str:
    return phrase(meeting.case_name)


def phrase(case_name: str) -> str:
    """A case as sentences have it."""
    return FACTS[case_name][0] if case_name in FACTS else f'on {case_name}'


def listed(meetings: Sequence[Meeting]) -> str:
    texts = [words(m) for m in meetings]
    shown = texts[:5] + ([f'in {len(texts) - 5} more cases'] if len(texts) > 5 else [])
    return ' and '.join(filter(None, [', '.join(shown[:-1]), shown[-1]]))
