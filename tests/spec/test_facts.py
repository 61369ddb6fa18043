"""What a spec says of its loss is what the loss does. Of PyTorch's (``of_overlap``, ``learnt``): tests/losses/test_mmseg.py."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from shared_spec import LOSSES, SpecError
from tests.support.losses import PLAIN

NAMES, OF_MAPS = (pytest.mark.parametrize('name', losses) for losses in (LOSSES, PLAIN))
EVERY = pytest.mark.parametrize('fact', ['of_overlap', 'needs_logits', 'needs_softmax', 'needs_region', 'needs_areas', 'learnt', 'on_host'])  # fmt: skip


def refused(call, error, words):
    """Whether a call is refused in a sentence with these words."""
    try:
        call()
    except error as found:
        assert words in str(found), found
        return True
    return False


def zeros(spec, space):
    channels = 2 if 'many' in spec.channels else 1
    return np.zeros((1, channels, *space)), np.ones((1, *space), int)


@EVERY
def test_each_fact_tells_losses_apart(fact):
    assert {bool(getattr(spec, fact)) for spec in LOSSES.values()} == {True, False}


@NAMES
def test_probabilities_are_refused_where_logits_are_needed(name):
    spec = LOSSES[name]
    if 'from_logits' in spec.parameters():
        assert refused(lambda: spec(from_logits=False), SpecError, 'from_logits') == spec.needs_logits


@OF_MAPS
def test_sigmoid_channels_are_refused_where_a_distribution_is_needed(name):
    spec = LOSSES[name]
    if 'activation' in spec.parameters() and 'many' in spec.channels:
        loss, given = spec(activation='sigmoid'), zeros(spec, (9, 9))
        assert refused(lambda: loss.reference(*given), ValueError, 'sigmoid') == spec.needs_softmax


@OF_MAPS
def test_a_pixel_is_refused_where_a_region_is_needed(name):
    spec = LOSSES[name]
    assert refused(lambda: spec().reference(*zeros(spec, (1, 1))), ValueError, 'a region') == spec.needs_region


@OF_MAPS
def test_labels_that_change_at_every_pixel_cost_nothing_where_areas_are_needed(name):
    """The official parameters leave a small picture no boundary, so the first example's."""
    spec = LOSSES[name]
    example, channels = next(iter(spec.examples.values())), 2 if 'many' in spec.channels else 1
    if example.weights or 'distance_matrix' in example.params:
        assert not spec.needs_areas
        return
    loss = spec(**example.params)
    z, y = np.random.default_rng(0).normal(0, 1, (1, channels, 9, 9)), np.indices((9, 9)).sum(0)[None] % 2
    assert (loss.reference(z, y) == 0) == spec.needs_areas
    y[..., :4] = 0
    assert loss.reference(z, y) != 0


@NAMES
def test_reductions_give_what_is_averaged_where_there_are_any(name):
    spec = LOSSES[name]
    assert ('reduction' in inspect.signature(spec.of_batch).parameters) == (spec.reductions != ('mean',))
    if spec.reductions != ('mean',):
        pred, target = zeros(spec, (9, 9))
        target = pred if spec.of_features() else target
        pred, extras = spec().adapt_case(pred, target, np.random.default_rng(0))
        found = spec().reference(pred, target, **extras, reduction='none')
        assert found.shape == (1, 9, 9) if 'sum' in spec.reductions else found.ndim == 1


def test_some_losses_are_means_over_pixels_and_some_over_cells():
    assert {spec.reductions for spec in LOSSES.values()} == {('mean',), ('mean', 'none'), ('mean', 'sum', 'none')}


def test_the_page_of_inputs_names_the_losses_for_hard_labels_alone():
    (line,) = (
        x
        for x in (Path(__file__).parents[2] / 'docs/inputs.md').read_text().splitlines()
        if x.startswith('| losses for hard labels alone')
    )
    assert set(re.findall(r'`(\w+Loss)`', line)) == {name for name in LOSSES if LOSSES[name].labels == ('hard',)}
