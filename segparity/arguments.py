"""How the command line reads its words: one sentence for what is wrong, and the nearest option or command."""

import argparse
import math
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

from segparity.terminal import complain
from shared_spec.checks import nearest


class Parser(argparse.ArgumentParser):
    """argparse's parser with errors of one line; ``commands``: name -> parser, where it has any."""

    commands: Mapping[str, 'Parser'] = {}

    def error(self, message: str) -> NoReturn:
        hint = '' if '--help' in message or 'did you mean' in message else f' ({self.prog} --help says more)'
        complain(f'{self.prog}: {message}{hint}')
        self.exit(2)

    def check(self, words: Sequence[str]) -> None:
        """Refuses a command or an option that does not exist, naming the nearest that does."""
        for place, word in enumerate(words):
            if word == '--':
                return
            if self.commands and not word.startswith('-'):
                if word not in self.commands:
                    self.unknown('command', word, {name: name for name in self.commands})
                self.commands[word].check(words[place + 1 :])
                return
            before = self._option_string_actions.get(words[place - 1]) if place else None
            if not self.takes(word) and (before is None or before.nargs is not None):  # else argparse misses its value
                options = {name.lstrip('-'): name for name in self._option_string_actions}
                self.unknown('option', word.partition('=')[0], options)

    def takes(self, word: str) -> bool:
        """Whether a word is no option, one of ours, or the beginning of one."""
        name = word.partition('=')[0]
        if not re.match(r'-[^\d.]', word) or ' ' in word:
            return True
        known = self._option_string_actions
        return name in known or (name.startswith('--') and any(option.startswith(name) for option in known))

    def unknown(self, kind: str, word: str, known: Mapping[str, str]) -> NoReturn:
        hint = nearest(word.lstrip('-').replace('_', '-').lower(), list(known))
        said = f'did you mean {known[hint]}?' if hint else f'{self.prog} --help lists them'
        self.error(f'unknown {kind} {word}, {said}')


def integer(text: str) -> int:
    """'-3' -> -3."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'a whole number, got {text!r}') from None


def integer_or_none(text: str) -> int | None:
    """'255' -> 255, 'none' -> None."""
    if text.lower() == 'none':
        return None
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'a whole number or none, got {text!r}') from None


def positive_integer(text: str) -> int:
    """'8' -> 8; 0, a sign and everything else is refused."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f'a positive whole number, got {text!r}')
    return int(text)


def real_number(text: str) -> float:
    """'0.5' -> 0.5."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if math.isnan(found):
        raise argparse.ArgumentTypeError(f'a number, got {text!r}')
    return found
