"""mmengine's CheckpointHook and EarlyStoppingHook know for every result of our evaluators whether more is better.

They infer it from parts of names (mmengine 0.10.7: no FWIoU, mFscore, BoundaryIoU, nor anything but losses that is
better smaller), a prefix such as ``desktop/`` included, whose 'top' would make more of an error better. Ours are known
by their whole names, and every other name is left to the hooks.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from mmengine.hooks import CheckpointHook, EarlyStoppingHook

GREATER = re.compile(
    r'aAcc|FWIoU|m(Acc|IoU|Dice|Precision)|(m(Acc|IoU|Dice|Precision|Fscore)|BoundaryIoU)(D|[IC](\d+|Q)?)'
)
LESS = re.compile(r'(ECE|SCE)[DIC]|(HD|HD95|ASSD)[DIC](_rest)?|missed')


def rule_of(name: str) -> str | None:
    """'greater' or 'less' for the name of a result of ours, with any prefix; None for another."""
    name = name.rpartition('/')[2]
    return 'greater' if GREATER.fullmatch(name) else 'less' if LESS.fullmatch(name) else None


def rules_of_checkpoints(infer: Callable[..., None]) -> Callable[..., None]:
    """``CheckpointHook._init_rule``, which keeps to the keys that a config gives it."""

    def init_rule(self: Any, rules: list[str | None], key_indicators: Sequence[str]) -> None:
        keys = self.greater_keys, self.less_keys
        if keys == (self._default_greater_keys, self._default_less_keys):
            rules = rules * len(key_indicators) if len(rules) == 1 else rules
            rules = [rule or rule_of(name) for rule, name in zip(rules, key_indicators)]
        infer(self, rules, key_indicators)

    return init_rule


def rule_of_early_stopping(infer: Callable[..., str]) -> Callable[..., str]:
    """``EarlyStoppingHook._init_rule``."""
    return lambda self, monitor: rule_of(monitor) or infer(self, monitor)


CheckpointHook._init_rule = rules_of_checkpoints(CheckpointHook._init_rule)
EarlyStoppingHook._init_rule = rule_of_early_stopping(EarlyStoppingHook._init_rule)
