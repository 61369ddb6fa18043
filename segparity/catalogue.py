"""The page ``docs/catalogue.md``, read from the spec: ``python -m segparity.catalogue > docs/catalogue.md``."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from shared_spec import LOSSES, METRICS, LossSpec, MetricSpec
from shared_spec.extras import needs_in_words

SpecClass = type[LossSpec] | type[MetricSpec]

HEAD = """\
# The catalogue

Every loss and metric with its definition and its parameters, the same in `shared_spec`, in MMSegmentation and in Keras.
This page is what `python -m segparity.catalogue > docs/catalogue.md` writes, from the spec; `segparity show NAME` has the same in a terminal,
with lines to copy. What a loss receives, and what happens to values outside their range: [inputs.md](inputs.md).

## Notation

| symbol | meaning | shape |
|---|---|---|
| N, C, P | images of the batch, classes, pixels of an image | |
| z, p | logits; probabilities, the softmax over classes or the sigmoid of each channel | (N, C, P) |
| y | target: one-hot of a hard label, or a soft label in [0, 1] | (N, C, P) |
| v | weight of a pixel: 0 where it is ignored, else 1 or the caller's | (N, P) |
| \\|x\\| | the sum over pixels of v \\|x\\| | (N, C) |

tp, fp and fn of a cell, which is one class in one image, come in two flavours that agree for hard labels:

- product overlap (the classic losses): tp = sum v p y, fp = \\|p\\| - tp, fn = \\|y\\| - tp
- metric overlap (right for soft labels): tp = (\\|p\\| + \\|y\\| - \\|p - y\\|) / 2, fp = \\|p\\| - tp, fn = \\|y\\| - tp

Means over cells, `granularity` of a loss and `levels` of a metric:

- D: tp, fp and fn are added over the batch or the data set, then a score of each class, then the mean over classes
- I: a score of each cell, mean over the classes of an image, then over images
- C: a score of each cell, mean over the images of a class, then over classes

A score of 0 / 0 is 1 in a loss and NaN, which means that it counts nowhere, in a metric.
"""


def catalogue() -> str:
    """The page in Markdown."""
    shared = common(LOSSES.values())
    lines = [HEAD, '## Parameters that many losses share', '']
    lines += table(shared)
    for family in sorted({spec.family for spec in LOSSES.values()}, reverse=True):  # region, pixel, compound
        lines += ['', f'## {family.capitalize()} losses']
        for name, spec in LOSSES.items():
            if spec.family == family:
                lines += entry(name, spec, shared)
    lines += ['', '## Metrics']
    for name, metric in METRICS.items():
        lines += entry(name, metric, {})
    return '\n'.join(lines) + '\n'


def common(specs: Iterable[SpecClass]) -> dict[str, dataclasses.Field[Any]]:
    """The parameters that stand in the same words, with the same default, in more than a third of the specs."""
    specs = list(specs)
    seen = Counter((name, row(name, field)) for spec in specs for name, field in spec.parameters().items())
    fields = {(name, row(name, field)): field for spec in specs for name, field in spec.parameters().items()}
    return {name: fields[name, text] for (name, text), n in seen.items() if 3 * n > len(specs)}


def entry(name: str, spec: SpecClass, shared: Mapping[str, dataclasses.Field[Any]]) -> Iterator[str]:
    """The lines of one loss or metric; ``shared``: parameters that stand elsewhere on the page."""
    own, elsewhere = {}, []
    for parameter, field in spec.parameters().items():
        if parameter in shared and row(parameter, field) == row(parameter, shared[parameter]):
            elsewhere.append(parameter)
        else:
            own[parameter] = field
    yield from ('', f'### {name}', '', f'{spec.title}.', '', f'> {markdown(spec.formula)}')
    if spec.remarks:
        yield from ('', markdown(spec.remarks))
    for sentence in needs_in_words(getattr(spec, 'needs', ()), getattr(spec, 'extras', ())):
        yield from ('', markdown(sentence))
    caution = getattr(spec, 'caution', '')
    if caution:
        yield from ('', f'Beware: {markdown(caution)}')
    yield from ('', f'Source: {markdown(spec.source)}')
    if own:
        yield ''
        yield from table(own)
    if elsewhere:
        yield from ('', f'Shared: {", ".join(f"`{parameter}`" for parameter in elsewhere)}')


def table(parameters: Mapping[str, dataclasses.Field[Any]]) -> Iterator[str]:
    """A table of parameters."""
    yield from ('| parameter | default | allowed | meaning |', '|---|---|---|---|')
    yield from (row(name, field) for name, field in parameters.items())


def row(name: str, field: dataclasses.Field[Any]) -> str:
    """A parameter's line: its name and default, in each world where they differ, what is allowed, what it means."""
    meta = field.metadata
    named = f'`{name}`' + (f' (Keras: `{meta["keras_name"]}`)' if meta['keras_name'] else '')
    default = 'required' if field.default is dataclasses.MISSING else f'`{field.default!r}`'
    if meta['keras_default'] != field.default:
        default += f' (Keras: `{meta["keras_default"]!r}`)'
    return f'| {named} | {default} | {markdown(meta["allowed"].describe())} | {markdown(meta["meaning"])} |'


def markdown(text: str) -> str:
    """Plain text in which nothing is markup."""
    return ''.join(f'\\{character}' if character in '\\`*_[]<>|#' else character for character in text)


if __name__ == '__main__':
    print(catalogue(), end='')
