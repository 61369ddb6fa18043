"""docs/soft_labels.md: its code runs, and its recipes are those of JDTLosses' own code."""

import re

import numpy as np
import pytest

from tests.losses.recipes import Recipe
from tests.soft_labels.page_blocks import PAGE, blocks, run
from tests.support.frameworks import axis

# those of the golden cases that have the weights of the page
PUBLISHED = {'hard': 'recipe_hard_dice_d', 'ls': 'recipe_ls_jaccard_d', 'kd': 'recipe_kd_jaccard_ic_T4'}


def recipe(kind, build=lambda name, **params: None):
    """A published case, whose ignored label becomes the page's 255."""
    found = Recipe(PUBLISHED[kind], build)
    found.arrays['label'] = np.where(found.valid > 0, found.label, 255)
    return found


def region(case):
    """The case's region loss and its granularity."""
    p = case.params
    name = 'JaccardMetricLoss' if p['alpha'] == 1 else 'DiceSemimetricLoss'
    return name, dict(granularity={level: p[f'mIoU{level}'] for level in 'DIC' if p[f'mIoU{level}']})


def test_every_block_belongs_to_a_world():
    found = [len(blocks(world)) for world in ('PyTorch', 'Keras', 'config')]
    assert found == [3, 10, 6] and sum(found) == PAGE.read_text(encoding='utf-8').count('```python')


def test_links_lead_somewhere():
    for target in re.findall(r'\]\((?!https?://|#)([^)#]+)', PAGE.read_text(encoding='utf-8')):
        assert (PAGE.parent / target).exists(), target


@pytest.fixture
def torch():
    pytest.importorskip('mmseg', reason='needs MMSegmentation')
    return pytest.importorskip('torch', reason='needs PyTorch')


def test_the_training_loop(torch):
    names = run('PyTorch')
    soft = names['soft']
    assert torch.equal(soft.sum(1), (names['labels'] != 255).float())
    assert 0 < names['loss'].item() < 2


@pytest.mark.parametrize('kind', ['ls', 'kd'])
def test_gradients_of_the_recipes_in_pytorch(kind, torch):
    case, names = recipe(kind), run('PyTorch')
    data = {k: torch.tensor(v) for k, v in case.arrays.items()}
    logits, aux = (data[k].requires_grad_() for k in ('logits', 'aux_logits'))
    name, params = region(case)
    names['jaccard'] = names['MODELS'].build(dict(type=name, ignore_index=255, smooth=1.0, **params))
    if kind == 'ls':
        given = dict(num_classes=case.params['num_classes'], ignore_index=255, dtype=torch.float64)
        soft = names['soft_labels'].boundary_label_smoothing(data['label'], **given)
        loss = names['smoothed_recipe'](logits, aux, soft)
    else:
        teachers = data['teacher_logits'], data['aux_teacher_logits']
        loss = names['distilled_recipe'](logits, aux, data['label'], *teachers, T=case.params['T'])
    loss.backward()
    case.assert_close(logits.grad.numpy(), 'grad_logits')
    case.assert_close(aux.grad.numpy(), 'grad_aux_logits')


def test_the_config_is_the_recipe_for_hard_labels(torch, tmp_path):
    from mmengine.config import Config
    from mmseg.registry import MODELS

    import mmseg_plugin  # noqa: F401  registers the losses

    (tmp_path / 'config.py').write_text(blocks('config')[-1])
    config = Config.fromfile(tmp_path / 'config.py')
    assert config.custom_imports.imports == ['mmseg_plugin']
    case = recipe('hard')
    logits, label = (torch.tensor(case.arrays[k]) for k in ('logits', 'label'))
    parts = config.model.decode_head.loss_decode
    parts[1].type = {'JaccardMetricLoss': region(case)[0]}[parts[1].type]  # the case has Dice
    case.assert_close(sum(MODELS.build(part)(logits, label) for part in parts).item(), 'loss')
    (aux,) = config.model.auxiliary_head.loss_decode
    assert aux == parts[0] and aux.loss_weight == 0.25 * 0.5


def test_the_configs_are_read_and_their_parts_are_known(torch, tmp_path):
    from mmengine.config import Config
    from mmseg.registry import HOOKS, METRICS, MODELS, TRANSFORMS

    import mmseg_plugin  # noqa: F401

    for number, block in enumerate(blocks('config')):
        (tmp_path / f'{number}.py').write_text(block)
        config = Config.fromfile(tmp_path / f'{number}.py')
        assert all(hook.type in HOOKS for hook in config.get('custom_hooks', []))
        assert MODELS.get(config.model.type) is not None
        if 'AnnotatorMetric' in block:
            assert all(one.type in METRICS for one in config.val_evaluator)
            assert all(one.type in TRANSFORMS for one in config.train_dataloader.dataset.pipeline)


@pytest.mark.slow
@pytest.mark.parametrize('framework', axis('keras_tensorflow'))
def test_the_snippets_in_keras(framework, worker):
    weights, history = worker.call('tests.soft_labels.keras_page:snippets')[0]
    assert weights == [False, True]
    assert history == ['loss', 'mIoUD']


SLOW = [pytest.param(*param.values, marks=[*param.marks, pytest.mark.slow]) for param in axis('keras_tensorflow', 'keras_jax_x64')]  # fmt: skip


@pytest.mark.parametrize('framework', [*axis('keras_torch'), *SLOW])
def test_values_of_the_recipes_in_keras(framework, worker):
    cases = {kind: recipe(kind) for kind in PUBLISHED}
    arrays = {f'{kind}/{name}': value for kind, case in cases.items() for name, value in case.arrays.items()}
    arrays['ls/soft'] = cases['ls'].soft()
    asked = {kind: [*region(case), case.params['T']] for kind, case in cases.items()}
    found = worker.call('tests.soft_labels.keras_page:recipes', arrays, cases=asked)[0]
    for kind, case in cases.items():
        p, losses = case.params, found[kind]
        if not p['aux']:
            losses.pop('aux')  # which the case has not
        got = sum(losses.values())
        if kind == 'ls':
            got -= p['ce_weight'] * (p['main_weight'] + p['aux_weight']) * case.entropy(case.soft())
        if kind == 'kd':
            both = p['main_weight'] * case.entropy(case.teacher())
            both += p['aux_weight'] * case.entropy(case.teacher('aux_teacher_logits'))
            got -= p['ce_weight'] * p['teacher_weight'] * p['T'] ** 2 * both
        case.assert_close(got, 'loss')
