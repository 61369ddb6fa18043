"""``BranchedHead``: the head's own losses stay, branches train beside them, and the configurations of the demo run."""

import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_plugin.heads.swap import fuse_resize
from segparity.usage import BRANCHES
from tests.mmseg.heads import CLASSES, IGNORED, build, features, head_config, label, samples
from tests.mmseg.tiny_training import config, logged

CONTRAST = dict(type='PixelContrastLoss', max_views=5, max_samples=40, order='first')
EMBEDDING = dict(type='EmbeddingBranch', channels=5, loss=CONTRAST)
PRESENCE = dict(type='PresenceBranch', loss=dict(type='SemanticEncodingLoss'))
EDGE = dict(
    type='EdgeBranch',
    channels=4,
    loss=[dict(type='InverseFormLoss', tiles=(1, 1)), dict(type='WeightedCrossEntropyLoss')],
)
TRIPLET = dict(type='EmbeddingBranch', name='triplet', channels=5, loss=dict(type='PixelTripletLoss'))
CLASSIFIER = dict(type='ClassifierBranch', loss=dict(type='ConditionalBoundaryLoss'))
DISTANCE = dict(type='DistanceBranch', loss=dict(type='BoundaryAwareLoss', num_bins=2, max_distance=3))
EVERY = [EMBEDDING, TRIPLET, CLASSIFIER, PRESENCE, EDGE, DISTANCE]
NAMES = {
    'embedding.loss_pixel_contrast', 'triplet.loss_pixel_triplet', 'classifier.loss_conditional_boundary',
    'presence.loss_semantic_encoding', 'edge.loss_inverse_form', 'edge.loss_weighted_cross_entropy', 'distance.loss_boundary_aware',
}  # fmt: skip
OWN = dict(loss_decode=dict(type='JaccardMetricLoss'))
DEMO = Path(__file__).parents[2] / 'configs/demo'
BRANCHED = sorted(path.stem for path in DEMO.glob('*.py') if 'BranchedHead' in path.read_text())


def branched(branches, **changes):
    return head_config(**{'type': 'BranchedHead', 'head_type': 'mmseg.FCNHead', 'branches': branches, **OWN, **changes})


def areas():
    return label(areas=True)


def losses_of(head, target):
    return head.loss(features(), samples(target), {})


def test_every_branch_trains_beside_the_heads_own_losses():
    plain, head = build(head_config(**OWN)), build(branched(EVERY))
    head.load_state_dict(plain.state_dict(), strict=False)
    want, got = losses_of(plain, areas()), losses_of(head, areas())
    assert set(got) == set(want) | NAMES
    assert all(torch.equal(got[name], want[name]) for name in want)
    sum(value for name, value in got.items() if 'loss' in name).backward()
    assert {name for name, p in head.named_parameters() if p.grad is None} == set()
    assert all(p.grad.abs().sum() > 0 for name, p in head.named_parameters() if name.startswith('branches'))
    assert torch.equal(plain.forward(features()), head.forward(features()))
    assert set(plain.state_dict()) < set(head.state_dict())


def test_what_a_branch_hands_over_is_what_its_loss_is_of():
    from mmseg_plugin.losses import BoundaryAwareLoss, ConditionalBoundaryLoss, PixelContrastLoss, SemanticEncodingLoss

    head, (x,), y = build(branched(EVERY)), features(), areas()
    got = losses_of(head, y)
    z = head.forward([x])
    by_name = {branch.name: branch for branch in head.branches}
    call = dict(ignore_index=IGNORED)
    unit = torch.nn.functional.normalize(by_name['embedding'].project(x), dim=1)
    contrast = PixelContrastLoss(max_views=5, max_samples=40, order='first')
    assert torch.equal(got['embedding.loss_pixel_contrast'], contrast(z, y, embedding=unit, **call))
    classifier = head.conv_seg.weight.flatten(1), head.conv_seg.bias
    want = ConditionalBoundaryLoss()(z, y, embedding=x, classifier=classifier, **call)
    assert torch.equal(got['classifier.loss_conditional_boundary'], want)
    presence = by_name['presence'].classify(x.mean((2, 3), keepdim=True))
    assert torch.equal(got['presence.loss_semantic_encoding'], SemanticEncodingLoss()(presence, y, **call))
    distance = BoundaryAwareLoss(num_bins=2, max_distance=3)(by_name['distance'].measure(x), y, **call)
    assert torch.equal(got['distance.loss_boundary_aware'], distance)


def test_edges_are_those_of_the_class_ids_that_the_loss_would_take():
    from mmseg_plugin.losses import InverseFormLoss

    head, (x,), y = build(branched([EDGE])), features(), areas()
    want = InverseFormLoss(tiles=(1, 1))(head.branches[0].draw(x), y, ignore_index=IGNORED)
    assert losses_of(head, y)['edge.loss_inverse_form'].item() == pytest.approx(want.item(), abs=1e-12)


def test_features_are_those_before_dropout_or_of_the_input_or_of_a_stage():
    by_input, by_stage = (
        dict(PRESENCE, features='inputs', name='a'),
        dict(PRESENCE, features=0, in_channels=6, name='b'),
    )
    head = build(branched([PRESENCE, by_input, by_stage], dropout_ratio=0.5)).train()
    state = head.branches[0].state_dict()
    for branch in head.branches:
        branch.load_state_dict(state)
    losses = losses_of(head, areas())
    values = [losses[f'{name}.loss_semantic_encoding'] for name in ('presence', 'a', 'b')]
    assert torch.equal(values[0], values[1]) and torch.equal(values[0], values[2])


def test_a_stage_of_the_backbone_that_the_head_does_not_read():
    presence = dict(PRESENCE, features=1, in_channels=3)
    head = build(branched([presence], in_index=0))
    inputs = [*features(), torch.ones(2, 3, 4, 4, dtype=torch.float64)]
    assert 'presence.loss_semantic_encoding' in head.loss(inputs, samples(areas()), {})


def test_small_logits_and_the_fused_resize():
    head = build(branched([EMBEDDING, EDGE, DISTANCE], loss_decode=dict(type='JaccardMetricLoss')))
    target = areas().repeat_interleave(2, 1).repeat_interleave(2, 2)
    want = losses_of(head, target)
    assert fuse_resize(head) == []
    got = losses_of(head, target)
    assert set(got) == set(want)
    for name in want:
        assert got[name].item() == pytest.approx(want[name].item(), rel=1e-6), name


def test_a_copy_of_the_head_trains_its_own_branches():
    head = build(branched([EMBEDDING]))
    copied = copy.deepcopy(head)  # as mmengine's EMA does
    assert copied.loss.__self__ is copied and copied.loss_without_branches.__self__ is copied
    losses_of(copied, areas())['embedding.loss_pixel_contrast'].backward()
    assert all(p.grad is None for p in head.parameters())


def segmentor(pictures, folder, **changes):
    """The model of a tiny training, of two stages."""
    init_default_scope('mmseg')
    torch.manual_seed(0)
    return MODELS.build({**config(pictures, folder, dict(type='JaccardMetricLoss'), iterations=1)['model'], **changes})


def steps_losses(built):
    target = areas().repeat_interleave(2, 1).repeat_interleave(2, 2)
    inputs = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return built.loss(inputs, samples(torch.where(target == IGNORED, target, target % 3)))


def test_an_auxiliary_head_and_the_stages_of_a_cascade_have_branches(pictures, tmp_path):
    shape = dict(in_channels=4, channels=4, num_classes=3, concat_input=False, num_convs=1, align_corners=False)
    common = dict(shape, type='BranchedHead', ignore_index=IGNORED, loss_decode=dict(type='SoftDiceLoss'))
    auxiliary = dict(common, head_type='FCNHead', in_index=1, branches=EVERY)
    losses = steps_losses(segmentor(pictures, tmp_path, auxiliary_head=auxiliary))
    assert {f'aux.{name}' for name in NAMES} | {'decode.loss_jaccard_metric', 'aux.loss_soft_dice'} <= set(losses)
    assert all(losses[f'aux.{name}'].isfinite() for name in NAMES)

    first = dict(common, head_type='FCNHead', in_index=1, branches=[PRESENCE])
    second = dict(
        type='BranchedHead', head_type='OCRHead', in_channels=4, in_index=1, channels=4, ocr_channels=2, num_classes=3,
        ignore_index=IGNORED, align_corners=False, loss_decode=dict(type='JaccardMetricLoss'), branches=[EMBEDDING, CLASSIFIER],
    )  # fmt: skip
    cascade = segmentor(
        pictures, tmp_path, type='CascadeEncoderDecoder', num_stages=2, decode_head=[first, second], auxiliary_head=None
    )
    losses = steps_losses(cascade)
    wanted = {'decode_0.presence.loss_semantic_encoding', 'decode_1.classifier.loss_conditional_boundary'}
    assert wanted | {'decode_1.embedding.loss_pixel_contrast', 'decode_1.loss_jaccard_metric'} <= set(losses)


def test_a_head_that_hands_its_classifier_nothing_has_branches_of_its_inputs():
    segmenter = dict(
        type='BranchedHead', head_type='mmseg.SegmenterMaskTransformerHead', in_channels=6, channels=8, num_layers=1,
        num_heads=2, embed_dims=8, num_classes=CLASSES, ignore_index=IGNORED, **OWN,
    )  # fmt: skip
    head = build(dict(segmenter, branches=[dict(PRESENCE, features='inputs')]))
    losses = losses_of(head, areas())
    assert 'presence.loss_semantic_encoding' in losses and 'loss_jaccard_metric' in losses


@pytest.mark.parametrize(
    ('branches', 'changes', 'sentence'),
    [
        ([], {}, 'branches must be a list of configurations, got []'),
        ([PRESENCE, PRESENCE], {}, "two branches are named 'presence', give one of them another name"),
        ([dict(PRESENCE, features='logits')], {}, "features must be 'classifier', 'inputs' or the number of a stage, got"),
        ([dict(PRESENCE, features=3)], {}, 'in_channels of a branch with features=3 must be given'),
        ([dict(EMBEDDING, loss=dict(type='JaccardMetricLoss'))], {}, 'loss must be a loss that takes embedding, got Jac'),
        ([dict(EMBEDDING, loss=CLASSIFIER['loss'])], {}, 'ConditionalBoundaryLoss needs more than an embedding'),
        ([dict(PRESENCE, loss=dict(type='CrossEntropyLoss'))], {}, 'loss must be SemanticEncodingLoss, got CrossEntropyLoss'),
        ([dict(EDGE, loss=dict(type='SurfaceLoss'))], {}, 'loss must be InverseFormLoss or a loss of one channel and soft'),
        ([dict(DISTANCE, loss=[DISTANCE['loss']] * 2)], {}, 'loss must be one BoundaryAwareLoss, got 2 losses'),
        ([dict(CLASSIFIER, features='inputs')], {}, "features must be 'classifier', got 'inputs'"),
        ([dict(type='mmseg.FCNHead', **{k: v for k, v in head_config().items() if k != 'type'})], {}, 'must be branches'),
        ([dict(EDGE, type='EdgBranch')], {}, "must be branches, got 'EdgBranch', did you mean 'EdgeBranch'?"),
        ([dict(EMBEDDING, chanels=3)], {}, "EmbeddingBranch: unknown parameter 'chanels', did you mean 'channels'?"),
        ([dict(EMBEDDING, channels=0)], {}, 'EmbeddingBranch: channels must be an integer >= 1, got 0'),
        ([dict(EMBEDDING, loss=[])], {}, 'EmbeddingBranch: loss must name a loss, got []'),
        ([dict(type='EmbeddingBranch')], {}, 'EmbeddingBranch: loss must be given, the configuration of a loss or a list'),
        ([dict(EMBEDDING, name='')], {}, 'EmbeddingBranch: name must not be empty'),
        ([PRESENCE], dict(head_type=None), "head_type must name the head, as in head_type='FCNHead'"),
        ([PRESENCE], dict(head_type='JaccardMetricLoss'), 'JaccardMetricLoss cannot have branches'),
    ],
)  # fmt: skip
def test_what_a_branched_head_refuses(branches, changes, sentence):
    arguments = branched(branches, **changes)
    if 'head_type' in changes:
        arguments = dict(type='BranchedHead', branches=branches, **changes)
    with pytest.raises((ValueError, TypeError)) as error:
        MODELS.build(arguments)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ('branch', 'sentence'),
    [
        (dict(PRESENCE, features=9, in_channels=6), 'features=9 is none of the 1 stages of the backbone'),
        (dict(PRESENCE, features=0, in_channels=5), "features of branch 'presence' have 6 channels, got in_channels=5"),
    ],
)
def test_features_that_are_not_there_are_refused_in_the_first_step(branch, sentence):
    with pytest.raises(ValueError, match=sentence):
        losses_of(build(branched([branch])), areas())


def with_branches(pictures, folder, iterations, **changes):
    """A complete configuration of a tiny model with every branch."""
    complete = config(pictures, folder, dict(type='JaccardMetricLoss'), iterations=iterations, **changes)
    head = complete['model']['decode_head']
    complete['model']['decode_head'] = dict(head, type='BranchedHead', head_type='FCNHead', branches=EVERY)
    return complete


def test_training_with_branches_goes_on_where_it_was_cut(train, pictures, tmp_path):
    """A run of six steps, and one that is resumed from the checkpoint of its third."""
    train(with_branches(pictures, tmp_path / 'whole', 6))
    checkpoint = str(tmp_path / 'whole' / 'iter_3.pth')
    train(with_branches(pictures, tmp_path / 'rest', 6, load_from=checkpoint, resume=True))
    want, got = (logged(tmp_path / name) for name in ('whole', 'rest'))
    assert sorted(want) == [1, 2, 3, 4, 5, 6] and sorted(got) == [4, 5, 6]
    for name in NAMES:
        assert sorted(logged(tmp_path / 'rest', f'decode.{name}')) == [4, 5, 6], name
    assert 'decode_head.branches.0.project.0.weight' in torch.load(checkpoint, weights_only=False)['state_dict']


@pytest.mark.parametrize('name', BRANCHED)
def test_configurations_of_the_demo_build_their_heads(name):
    built = Config.fromfile(DEMO / f'{name}.py')
    head = MODELS.build(built.model.decode_head)
    loss = name.removeprefix('digits_unet_')
    inputs = [torch.randn(2, 16, 32, 32)] * 4
    target = torch.zeros(2, 32, 32).long()
    target[:, 8:20, 5:25] = 3
    assert any(key.endswith(f'loss_{loss}') for key in head.loss(inputs, samples(target), {}))


def test_there_is_a_configuration_of_each_loss_that_needs_a_branch():
    from tests.support.losses import OTHERS

    assert len(BRANCHED) == len(OTHERS) and set(BRANCHES) == set(OTHERS)
    for name, branch in BRANCHES.items():
        build(branched([dict(type=branch, loss=dict(type=name))]))
