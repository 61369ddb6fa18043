"""What the readers know of MMSegmentation by heart is what the installed version says; its sources are parsed, not imported."""

import ast
from pathlib import Path

import pytest

from segparity.migrate.reading import mmseg_facts
from segparity.migrate.reading.folders import configs_of, installed_mmseg

PACKAGE = installed_mmseg()
pytestmark = pytest.mark.skipif(PACKAGE is None, reason='MMSegmentation is not installed')


def classes(folder):
    """Name -> class node, of every file of a package's folder."""
    found = {}
    for path in sorted((Path(PACKAGE) / folder).glob('*.py')):
        for node in ast.parse(path.read_text(encoding='utf-8')).body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = node
    return found


def registered(node, registry):
    names = {'MODELS': ('MODELS', 'LOSSES')}.get(registry, (registry,))  # LOSSES is another name of MODELS
    return any(ast.unparse(part).split('.register_module')[0] in names for part in node.decorator_list)


def default_of(node, parameter):
    """The default of a parameter of a class's constructor, or what it hands to that above; None where it has neither."""
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == '__init__':
            names = [argument.arg for argument in (*part.args.posonlyargs, *part.args.args)]
            defaults = dict(zip(names[::-1], part.args.defaults[::-1]))
            defaults |= dict(zip((argument.arg for argument in part.args.kwonlyargs), part.args.kw_defaults))
            if defaults.get(parameter) is not None:
                return ast.literal_eval(defaults[parameter])
            for call in ast.walk(part):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == 'super().__init__':
                    for word in call.keywords:
                        if word.arg == parameter and isinstance(word.value, ast.Constant):
                            return word.value.value
    return None


def inherited(name, known, parameter):
    while name in known:
        value = default_of(known[name], parameter)
        if value is not None:
            return value
        bases = [ast.unparse(base) for base in known[name].bases]
        name = next((base for base in bases if base in known), None)
    return None


def test_reduce_zero_label_of_data_sets():
    known = classes('datasets')
    sets = {
        name: inherited(name, known, 'reduce_zero_label')
        for name in known
        if name.startswith(('BaseSeg', 'BaseCD')) or registered(known[name], 'DATASETS')
    }
    wrappers = set(mmseg_facts.WRAPPERS)
    expected = {
        name: value for name, value in mmseg_facts.REDUCE_ZERO_LABEL.items() if name != 'CustomDataset'
    }  # of 0.x
    assert {name: value for name, value in sets.items() if name not in wrappers} == expected
    assert sets['LoveDADataset'] is True and sets['CityscapesDataset'] is False


def test_losses_and_metrics():
    losses = classes('models/losses')
    assert {name for name, node in losses.items() if registered(node, 'MODELS')} == mmseg_facts.LOSSES
    metrics = classes('evaluation/metrics')
    assert {name for name, node in metrics.items() if registered(node, 'METRICS')} == mmseg_facts.METRICS


def test_heads():
    """Every head that overrides how losses are taken is remarked or refused; every other one sums."""
    known = classes('models/decode_heads')
    heads = {name for name, node in known.items() if registered(node, 'MODELS')} - {'KernelUpdateHead', 'KernelUpdator'}
    own = {
        name
        for name in heads
        if {part.name for part in known[name].body if isinstance(part, ast.FunctionDef)}
        & {'loss', 'loss_by_feat', 'losses'}
    }
    assert own == {*mmseg_facts.REFUSED, *mmseg_facts.REMARKS}
    assert heads - own == mmseg_facts.SUMMING_HEADS
    assert not mmseg_facts.SUMMING_HEADS & {*mmseg_facts.REFUSED, *mmseg_facts.REMARKS}


def test_defaults_of_heads():
    node = classes('models/decode_heads')['BaseDecodeHead']
    init = next(part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == '__init__')
    defaults = dict(zip((part.arg for part in init.args.kwonlyargs), init.args.kw_defaults))
    assert default_of(node, 'ignore_index') == mmseg_facts.IGNORE_INDEX
    assert default_of(node, 'align_corners') is False
    loss = {word.arg: ast.literal_eval(word.value) for word in defaults['loss_decode'].keywords}
    assert loss == {'type': 'CrossEntropyLoss', **mmseg_facts.DEFAULT_LOSS}


def test_heads_that_index_their_list_do():
    for name, file in (('PIDHead', 'pid_head'), ('DDRHead', 'ddr_head')):
        text = (Path(PACKAGE) / 'models' / 'decode_heads' / f'{file}.py').read_text(encoding='utf-8')
        assert 'self.loss_decode[1]' in text and mmseg_facts.REFUSED[name] == mmseg_facts.INDEXED


def test_the_configurations_are_found():
    assert (Path(configs_of(PACKAGE)) / '_base_' / 'models' / 'fcn_r50-d8.py').is_file()
