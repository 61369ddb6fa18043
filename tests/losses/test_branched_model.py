"""``BranchedModel``: fit, evaluate and a saved model hand its outputs to the losses that take them."""

import pytest

from tests.support.frameworks import KERAS

OF_FEATURES = ('PixelContrastLoss', 'PixelTripletLoss', 'ConditionalBoundaryLoss')
OF_BRANCHES = ('InverseFormLoss', 'SemanticEncodingLoss', 'BoundaryAwareLoss')
FIRST = {'keras_torch': OF_FEATURES, 'keras_tensorflow': (), 'keras_jax': ()}
BRANCH = {'keras_torch': OF_BRANCHES, 'keras_tensorflow': (), 'keras_jax': ('SemanticEncodingLoss',)}


def rows(quick, every):
    """(framework, name) pairs, those that are not quick marked slow."""
    return [
        pytest.param(
            framework,
            name,
            id=f'{name}-{framework}',
            marks=[pytest.mark.xdist_group(framework), *([] if name in quick[framework] else [pytest.mark.slow])],
        )
        for framework in KERAS
        if framework in quick
        for name in every
    ]


def ask(worker, function, **arguments):
    found, _ = worker.call(f'tests.losses.keras_branched:{function}', {}, **arguments)
    return found


@pytest.mark.parametrize(('framework', 'name'), rows(FIRST, OF_FEATURES))
def test_fit_hands_outputs_to_the_losses_that_take_them(framework, name, worker):
    found = ask(worker, 'of_features', name=name, compiled=framework != 'keras_torch')
    assert found['want'] > 0
    assert found['alone'] == pytest.approx([found['want']] * 2, rel=1e-4)
    assert found['of_both'] == pytest.approx([found['want_of_both']] * 2, rel=1e-4)


@pytest.mark.parametrize(('framework', 'name'), rows(BRANCH, OF_BRANCHES))
def test_branches_have_losses_of_their_own(framework, name, worker):
    found = ask(worker, 'of_branches', name=name, compiled=framework != 'keras_torch')
    assert found['found'] == pytest.approx([found['want']] * 2, rel=1e-4)


FEW = [
    pytest.param(name, marks=[pytest.mark.xdist_group(name), *([] if name == 'keras_torch' else [pytest.mark.slow])])
    for name in FIRST
]


@pytest.mark.parametrize('framework', FEW)
def test_probabilities_have_the_classifier_before_their_softmax(framework, worker):
    found = ask(worker, 'of_features', name='ConditionalBoundaryLoss', softmax=True)
    assert found['alone'] == pytest.approx([found['want']] * 2, rel=1e-4)


@pytest.mark.parametrize('framework', FEW)
def test_a_saved_model_trains_on(framework, worker):
    found = ask(worker, 'saved')
    assert found['first'][0] > found['first'][1]
    assert found['on'][0] == pytest.approx(found['on'][1], rel=1e-5)


@pytest.mark.parametrize('framework', FEW)
def test_a_bank_is_filled_in_training_alone(framework, worker):
    first, second, third = ask(worker, 'filled')['seen']
    assert first == second > 0 and third == 2 * first


@pytest.mark.parametrize('framework', FEW)
def test_what_a_branched_model_refuses(framework, worker):
    no_names, no_logits, no_embedding, no_output, no_metric, several = ask(worker, 'refused')['sentences']
    assert no_names.startswith("BranchedModel: outputs must be a dictionary that has 'logits', got ")
    assert no_logits == "BranchedModel: outputs must be a dictionary that has 'logits', got scores"
    assert no_embedding.startswith('PixelTripletLoss: needs embedding, (N, *space, D) floating point')
    assert no_output == "BranchedModel: loss: no output is named 'edge', there are logits"
    assert no_metric == "BranchedModel: metrics: no output is named 'edge', there are logits"
    assert several.startswith(
        'BranchedModel: loss must be one loss of the logits, or a dictionary by outputs, got a list of 2'
    )


@pytest.mark.parametrize('framework', FEW)
def test_what_no_branched_model_can_be_made_of(framework, worker):
    unknown, banks = ask(worker, 'refused_when_made')['sentences']
    assert unknown.startswith("BranchedModel: unknown argument 'classifier'; a classifier and a bank are found among")
    assert banks == 'BranchedModel: one EmbeddingBank serves a model, got 2'


@pytest.mark.parametrize('framework', FEW)
def test_metrics_of_a_dictionary_are_of_the_outputs_that_it_names(framework, worker):
    found = ask(worker, 'measured')
    assert set(found) >= {'edges_mean', 'logits_accuracy'}
    assert found['edges_mean'] == pytest.approx(found['want'], rel=1e-5)
