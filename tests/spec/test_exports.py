"""Both worlds export every loss of the spec by its name, where editors and type checkers find it."""

import ast
from pathlib import Path

import pytest

from shared_spec import LOSSES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    'package, others', [('mmseg_plugin', set()), ('keras_plugin', {'Loss', 'PixelLoss', 'RegionLoss'})]
)
def test_every_loss_is_imported_and_listed(package, others):
    tree = ast.parse((ROOT / package / 'losses' / '__init__.py').read_text())
    imported = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    (listed,) = (ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign))
    assert imported == set(listed) == set(LOSSES) | others
    assert listed == sorted(listed)
