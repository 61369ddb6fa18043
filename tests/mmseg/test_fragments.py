"""configs/_base_/losses and loss_decode: one fragment for each loss, which a config takes as a base file."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmseg.registry import MODELS

import mmseg_plugin  # noqa: F401
from shared_spec import LOSSES
from shared_spec.registry import from_dict
from tests.mmseg.heads import (
    MANY_CHANNEL_LOSSES,
    ONE_CHANNEL,
    build,
    features,
    head_config,
    label_for,
    named_gradients,
    only_loss,
    parameter_names,
    samples,
)
from tests.support.losses import PLAIN

ROOT = Path(__file__).resolve().parents[2]
FRAGMENTS = ROOT / 'configs' / '_base_' / 'losses'
BARE = ROOT / 'configs' / '_base_' / 'loss_decode'
RECIPES = {'dice_focal': ['SoftDiceLoss', 'FocalCrossEntropyLoss']}  # fragments of several losses
PAGE = ROOT / 'docs' / 'mmsegmentation.md'


def stem(name):
    """FocalTverskyLoss -> focal_tversky."""
    return re.sub(r'(?<!^)(?=[A-Z])', '_', name.removesuffix('Loss')).lower()


def load(folder, name):
    """A config of two base files, the fragment and a model with a loss of its own, and the line that joins them."""
    own = dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)
    shape = {} if name in MANY_CHANNEL_LOSSES else ONE_CHANNEL
    (folder / 'model.py').write_text(f'model = dict(decode_head={head_config(loss_decode=own, **shape)!r})\n')
    (folder / 'config.py').write_text(
        f'_base_ = [{(FRAGMENTS / stem(name)).as_posix() + ".py"!r}, "model.py"]\n'
        'model = dict(decode_head=dict(loss_decode={{_base_.loss_decode}}))\n'
    )
    return Config.fromfile(folder / 'config.py')


@pytest.mark.parametrize('folder', [FRAGMENTS, BARE], ids=['losses', 'loss_decode'])
def test_every_loss_has_a_fragment_and_every_fragment_a_loss(folder):
    assert {path.name for path in folder.iterdir() if path.name != '__pycache__'} == {
        f'{name}.py' for name in [*map(stem, LOSSES), *RECIPES]
    }


@pytest.mark.parametrize('name', LOSSES)
def test_a_fragment_is_its_loss_with_255_ignored(name):
    fragment = Config.fromfile(FRAGMENTS / f'{stem(name)}.py')
    assert set(fragment) == {'custom_imports', 'loss_decode'}
    assert fragment.custom_imports.imports == ['mmseg_plugin']
    (loss,) = fragment.loss_decode
    assert loss.type == name
    assert Config.fromfile(BARE / f'{stem(name)}.py').to_dict() == dict(loss_decode=[loss.to_dict()])
    spec = from_dict(loss)
    assert all(part.ignore_index == 255 or part.of_features() for part in getattr(spec, 'parts', [spec]))


@pytest.mark.parametrize('name', PLAIN)
def test_a_head_trains_a_step(name, tmp_path):
    config = load(tmp_path, name).model.decode_head
    assert [loss.type for loss in config.loss_decode] == [name]
    built = build(config)
    inputs = features(), samples(label_for(name)), {}
    before = only_loss(built.loss(*inputs))
    before.backward()
    gradients = named_gradients(built)
    assert set(gradients) == parameter_names(name, owner='loss_decode.0')

    length = sum((grad**2).sum() for grad in gradients.values()).sqrt().item()
    old = {key: value.detach().clone() for key, value in built.named_parameters()}
    torch.optim.SGD(built.parameters(), lr=1e-3 / length).step()  # short enough that downhill is downhill
    for key, value in built.named_parameters():
        assert torch.isfinite(value).all(), key
        assert not torch.equal(value, old[key]), key
    after = only_loss(built.loss(*inputs))
    assert torch.isfinite(after) and after < before


def page_configs():
    """Fragment -> config of the page."""
    blocks = re.findall(r'^```python\n(.*?)^```$', PAGE.read_text(encoding='utf-8'), re.DOTALL | re.MULTILINE)
    found = [(re.search(r'segparity::_base_/(\w+/\w+)\.py', block), block) for block in blocks]
    return {fragment[1]: block for fragment, block in found if fragment}


PAGE_LOSSES = [fragment for fragment in page_configs() if fragment.startswith('losses/')]


def test_the_page_shows_these_configs():
    assert PAGE_LOSSES == ['losses/focal_tversky', 'losses/lovasz_hinge', 'losses/robust_t']
    assert list(page_configs())[1] == 'loss_decode/focal_tversky'


@pytest.mark.parametrize('fragment', PAGE_LOSSES)
def test_a_config_of_the_page_builds(fragment, tmp_path):
    (tmp_path / 'config.py').write_text(page_configs()[fragment])
    fragment = fragment.removeprefix('losses/')
    config = Config.fromfile(tmp_path / 'config.py')
    config.merge_from_dict(
        dict(
            model=dict(
                pretrained=None,
                backbone=dict(depth=18),
                decode_head=dict(in_channels=512, channels=8),
                auxiliary_head=dict(in_channels=256, channels=8),
            )
        )
    )
    model = revert_sync_batchnorm(MODELS.build(dict(config.model, _scope_='mmseg')))
    heads = model.decode_head, model.auxiliary_head
    assert all(stem(type(head.loss_decode[0]).__name__) == fragment for head in heads)
    if fragment == 'focal_tversky':
        assert [type(loss).__name__ for loss in model.auxiliary_head.loss_decode] == [
            'FocalTverskyLoss',
            'WeightedCrossEntropyLoss',
        ]
    if fragment == 'lovasz_hinge':
        assert all(head.conv_seg.out_channels == 1 and head.threshold == 0.5 for head in heads)
    if fragment == 'robust_t':
        groups = build_optim_wrapper(model, config.optim_wrapper).optimizer.param_groups
        for head in heads:
            (group,) = (g for g in groups if any(p is head.loss_decode[0].log_nu for p in g['params']))
            assert group['weight_decay'] == 0 and group['lr'] == pytest.approx(1e-4)


def test_a_dict_would_be_merged_with_the_loss_of_the_base_model(tmp_path):
    """Why a fragment is a list."""
    load(tmp_path, 'SoftDiceLoss')
    (tmp_path / 'mine.py').write_text(
        '_base_ = ["model.py"]\nmodel = dict(decode_head=dict(loss_decode=dict(type="SoftDiceLoss")))\n'
    )
    config = Config.fromfile(tmp_path / 'mine.py').model.decode_head
    assert config.loss_decode == dict(type='SoftDiceLoss', use_sigmoid=False, loss_weight=1.0)
    with pytest.raises(ValueError, match="^SoftDiceLoss: unknown parameter 'use_sigmoid'"):
        build(config)


def test_custom_imports_of_a_config_replace_those_of_the_fragment(tmp_path):
    (tmp_path / 'config.py').write_text(
        f'_base_ = [{(FRAGMENTS / "soft_dice.py").as_posix()!r}]\ncustom_imports = dict(imports=["json"])\n'
    )
    assert Config.fromfile(tmp_path / 'config.py').custom_imports.imports == ['json']


@pytest.mark.parametrize('model', ['upernet_convnext', 'fpn_poolformer_s12'])
def test_beside_a_base_that_sets_custom_imports(model, tmp_path):
    """Read without its imports: mmpretrain may not be installed."""
    text = page_configs()['loss_decode/focal_tversky'].replace('upernet_convnext', model)
    (tmp_path / 'mine.py').write_text(text)
    config = Config.fromfile(tmp_path / 'mine.py', import_custom_modules=False)
    assert config.custom_imports.imports == ['mmpretrain.models', 'mmseg_plugin']
    assert config.model.decode_head.loss_decode == [dict(type='FocalTverskyLoss', ignore_index=255)]
    (tmp_path / 'refused.py').write_text(text.replace('_base_/loss_decode', '_base_/losses'))
    with pytest.raises(KeyError, match='Duplicate key .*custom_imports'):
        Config.fromfile(tmp_path / 'refused.py', import_custom_modules=False)


def test_two_fragments_are_refused_by_mmengine(tmp_path):
    both = [(FRAGMENTS / name).as_posix() for name in ('soft_dice.py', 'robust_t.py')]
    (tmp_path / 'config.py').write_text(f'_base_ = {both!r}\n')
    with pytest.raises(KeyError, match='Duplicate key is not allowed among bases'):
        Config.fromfile(tmp_path / 'config.py')
