"""Which losses a test may call with logits of the classes and labels alone; the others: tests/losses/test_extras.py."""

from shared_spec import LOSSES

PLAIN = {name: spec for name, spec in LOSSES.items() if spec.is_plain()}
OTHERS = {name: spec for name, spec in LOSSES.items() if not spec.is_plain() and not spec.of_features()}
