"""A recognition as text and as JSON."""

import dataclasses
import math
import pprint
from typing import Any

from segparity.recognise.calls import LAYOUTS
from segparity.recognise.recognition import Answer, Recognition, with_from_logits
from shared_spec import LossSpec


def lines(found: Recognition) -> list[str]:
    """The report, line by line."""
    said = [f'{found.name} ({found.framework})', '']
    for answer in found.answers:
        said += [*of_answer(answer, diagnosed(found)), '']
    if not found.answers and not found.wrong:
        said += ['Nothing of ours is like it.', '']
    said += [f'- {remark}' for remark in found.remarks]
    if found.wrong:
        said += ['', 'Likely wrong:', *(f'- {sentence}' for sentence in found.wrong)]
    return said


def diagnosed(found: Recognition) -> bool:
    """Whether what is wrong with its formula is said, so that the nearest loss is no help."""
    return any(not sentence.startswith(('Its value is', 'Its gradient is')) for sentence in found.wrong)


def of_answer(answer: Answer, known_as_wrong: bool = False) -> list[str]:
    channels = 'one channel' if answer.channels == 1 else f'{answer.channels} channels'
    said = [f'With {channels}: {verdict(answer)}']
    if answer.matched:
        said += [f'  {name:<12}{value}' for name, value in facts(answer).items()]
    else:
        way = facts(answer)
        said.append(
            f'  called as {way["arguments"]}; {way["layout"]}; {way["labels"]}; {way["takes"]}: '
            'as nothing was matched, which it takes is not certain'
        )
    said += [f'  - {reason}' for reason in (*answer.reasons, *answer.notes)]
    if answer.spec is not None:
        if answer.equals:
            said.append(f'  - the same on these labels: {", ".join(short(s) for s in answer.equals)}')
        if not answer.equal and known_as_wrong:
            return said
        if not answer.equal:
            said.append("  The lines of the nearest, which do not give the function's number:")
        elif answer.sign < 0:
            said.append('  The lines below are the loss, not the score.')
        if answer.equal and not answer.on_ids:
            said.append(
                '  MMSegmentation: no lines give your number there: it hands over class ids, on which ours has another value'
            )
        else:
            said += ['  MMSegmentation:', *_indented(mmseg_line(answer.spec))]
        said += [
            '  Keras (labels as maps):' if not answer.on_ids else '  Keras:',
            *_indented(keras_line(answer.spec, answer)),
        ]
    return said


def _indented(text: str) -> list[str]:
    return [f'    {line}' for line in text.splitlines()]


def verdict(answer: Answer) -> str:
    """One line: what it equals, or how far it is from the nearest."""
    if answer.spec is None:
        return 'it is none of our losses'
    what, apart = relation(answer), answer.difference
    if answer.equal:
        sure = f'to {apart.hard:.0e} on fresh probes' if apart else ''
        sure += f', gradients to {apart.gradient:.0e}' if apart and apart.gradient is not None else ''
        where = ' on hard labels' if answer.verdict == 'equal on hard labels' else ''
        return f'equals {what}{where} ({sure})'
    if answer.verdict == 'equal on flattened classes':
        return f'equals {what} on the classes flattened into one channel'
    if apart is None or apart.hard <= 1e-6:
        return f'its values are those of {what}'
    return f'none of ours; the nearest is {what}, which differs by {apart.typical:.2g} on average and {apart.largest:.2g} at most'


def relation(answer: Answer) -> str:
    """The spec with sign and constant in words."""
    name = short(answer.spec) if answer.spec else ''
    if answer.sign < 0:
        return f'{answer.offset:g} - {name}' if answer.offset else f'-{name}'
    if answer.offset:
        return f'{name} {"less" if answer.offset < 0 else "plus"} a constant {abs(answer.offset):g}'
    return name


def short(spec: LossSpec) -> str:
    """A spec with what a reader needs, without what says how it is called."""
    if type(spec).__name__ == 'WeightedSumLoss':
        shares = getattr(spec, 'shares', ())
        parts = [(f'{w:g} * ' if w != 1 else '') + short(p) for w, p in zip(shares, getattr(spec, 'parts', ()))]
        factor = f'{spec.loss_weight:g} * ' if spec.loss_weight != 1 else ''
        return f'{factor}({" + ".join(parts)})' if factor else ' + '.join(parts)
    shown = {k: v for k, v in spec.to_mmseg().items() if k not in ('type', 'from_logits', 'ignore_index', 'activation')}
    shown |= {k: getattr(spec, k) for k in ('alpha', 'beta') if k in spec.parameters()}
    if 'granularity' in spec.parameters():
        shown['granularity'] = spec.builtin_value('granularity')
    return f'{type(spec).__name__}({", ".join(f"{k}={v!r}" for k, v in shown.items())})'


def facts(answer: Answer) -> dict[str, str]:
    """How the function is called, with what else gives the same numbers."""
    convention = answer.group.convention
    same, words = answer.group.conventions, convention.words()
    facts_ = dict(words)
    if len({c.labels_first for c in same}) > 1:
        facts_['arguments'] += ' (or the other order, it is symmetric)'
    layouts = list(dict.fromkeys(LAYOUTS[c.layout] for c in same))
    if len(layouts) > 1:
        facts_['layout'] = f'{layouts[0]} (or {", ".join(layouts[1:])}: the same numbers)'
    forms = [c.words()['labels'] for c in same]
    others = [f for f in dict.fromkeys(forms) if f != words['labels']]
    if others:
        facts_['labels'] += f' (or {", ".join(others)})'
    return facts_


def mmseg_line(spec: LossSpec) -> str:
    """For a configuration, whose heads hand over logits."""
    config = with_from_logits(spec, value=True).to_mmseg()
    return f"custom_imports = dict(imports=['mmseg_plugin'])\nloss_decode = {_call(config)}"


def _call(config: dict[str, Any]) -> str:
    parts = []
    for key, value in config.items():
        text = f'[{", ".join(_call(v) for v in value)}]' if key == 'losses' else pprint.pformat(value, width=10**6)
        parts.append(f'{key}={text}')
    return f'dict({", ".join(parts)})'


def keras_line(spec: LossSpec, answer: Answer) -> str:
    """For ``compile``; it reads what the function reads."""
    logits = answer.group.convention.takes == 'logits'
    return f'from keras_plugin import losses\n\nloss = {_keras(with_from_logits(spec, logits))}'


def _keras(spec: LossSpec) -> str:
    given = spec.to_keras()
    if type(spec).__name__ == 'WeightedSumLoss':
        parts = ', '.join(_keras(p) for p in getattr(spec, 'parts', ()))
        rest = [f'{k}={v!r}' for k, v in given.items() if k != 'losses']
        return f'losses.WeightedSumLoss([{parts}], {", ".join(rest)})'
    return f'losses.{type(spec).__name__}({", ".join(f"{k}={v!r}" for k, v in given.items())})'


def as_json(found: Recognition) -> dict[str, Any]:
    """Plain Python that JSON takes."""
    return dict(
        name=found.name,
        framework=found.framework,
        equal=found.equal,
        answers=[_answer_json(a) for a in found.answers],
        remarks=found.remarks,
        wrong=found.wrong,
    )


def _answer_json(answer: Answer) -> dict[str, Any]:
    apart, spec = answer.difference, answer.spec
    logits = answer.group.convention.takes == 'logits'
    return dict(
        channels=answer.channels,
        verdict=answer.verdict,
        text=verdict(answer),
        sign=answer.sign,
        offset=answer.offset,
        difference=None if apart is None else {k: _number(v) for k, v in dataclasses.asdict(apart).items()},
        reasons=answer.reasons,
        notes=answer.notes,
        called=facts(answer),
        matched=answer.matched,
        equal=dict(mmseg=answer.equal_in_mmseg, keras=answer.equal),
        mmseg=None if spec is None else with_from_logits(spec, value=True).to_mmseg(),
        keras=None if spec is None else {'type': type(spec).__name__, **with_from_logits(spec, logits).to_keras()},
        same=[s.to_dict() for s in answer.equals],
    )


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
