"""What the spec and the states say, in the words of the command line: an option in place of a class and its parameter."""

import contextlib
import re
from collections.abc import Iterator

from shared_spec import SpecError
from shared_spec.files import without_owner

OPTIONS = {
    name: '--' + name.replace('_', '-')
    for name in (
        'num_classes', 'ignore_index', 'levels', 'q', 'metrics', 'beta', 'present_in', 'binary', 'empty', 'hit', 'ratio',
        'spacing', 'bins',
    )
}  # fmt: skip


@contextlib.contextmanager
def name_options() -> Iterator[None]:
    """A parameter that a spec refuses is the option that was typed."""
    try:
        yield
    except SpecError as error:
        raise ValueError(name_option(str(error))) from None


def name_option(sentence: str) -> str:
    """'FineGrained: q must be ..., got (0,)' -> '--q must be ..., got 0'."""
    sentence = without_owner(sentence).replace('binary=True needs num_classes=2', '--binary needs two classes')
    name, space, rest = sentence.partition(' ')
    if name in OPTIONS:
        sentence = OPTIONS[name] + space + re.sub(r'(?<=got )[\[(](.*?),?[\])]', join_items, rest)
    return sentence


def join_items(found: re.Match[str]) -> str:
    return found[1].replace("'", '').replace(', ', ',') or 'nothing'


def masks_of_255(side: str) -> str:
    """What to do with masks of 0 and 255 on a side, pred or gt."""
    return f'divide masks by 255, or give --{side}-palette FILE with the lines "0 0 0" and "255 255 255" for pictures'
