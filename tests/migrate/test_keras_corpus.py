"""What is read of 38 Keras and PyTorch sources, written after the forms of real ones; each expectation by reading the source."""

import dataclasses
from pathlib import Path

import pytest

from segparity.migrate.items import Item, Unread
from segparity.migrate.moving import notes_for
from segparity.migrate.peers import migrate_item
from segparity.migrate.reading import read_source
from segparity.migrate.reading.own_losses import expanded

CORPUS = Path(__file__).parent / 'corpus' / 'keras'
SM, KUC = 'segmentation_models', 'keras_unet_collection'

# name -> how much is read; losses of each output; metrics; activation, channels, labels, version of the first output
READ = {
    'unet_bce.py': ('fully', ['keras.binary_crossentropy'], 'accuracy', 'sigmoid 1 None 2'),
    'own_dice.py': ('fully', ['own.dice_coef_loss'], 'dice_coef', 'sigmoid 1 None 2'),
    'bce_dice.py': ('fully', ['own.bce_dice_loss'], 'dice_coeff BinaryIoU', 'sigmoid 1 None None'),
    'sm_sum.py': ('fully', [f'{SM}.DiceLoss + {SM}.CategoricalFocalLoss'], 'IOUScore FScore', 'softmax 4 one_hot 2'),
    'sm_weighted_sum.py': (
        'fully',
        [f'{SM}.DiceLoss + 2*{SM}.CategoricalFocalLoss'],
        'iou_score',
        'softmax 3 None 2',
    ),
    'sm_ready.py': ('fully', [f'{SM}.bce_jaccard_loss'], 'iou_score', 'sigmoid 1 None 2'),
    'categorical.py': ('fully', ['keras.categorical_crossentropy'], 'accuracy', 'softmax 12 one_hot 1'),
    'sparse_logits.py': (
        'fully',
        ['keras.SparseCategoricalCrossentropy'],
        'sparse_categorical_accuracy MeanIoU',
        'logits 19 ids None',
    ),
    'own_import.py': ('fully', ['own.focal_tversky'], 'tversky Precision Recall', 'sigmoid 1 None None'),
    'own_missing.py': ('partly', ['own.dice_loss'], 'Recall Precision dice_coef MeanIoU', 'None None None None'),
    'own_losses.py': ('not', [], '', ''),
    'chosen_by_argument.py': ('partly', [], 'accuracy', ''),
    'chosen_by_branch.py': ('not', [], '', ''),
    'chosen_by_key.py': ('fully', ['keras.Tversky'], '', 'softmax 3 None None'),
    'two_outputs.py': (
        'fully',
        ['keras.CategoricalCrossentropy', '0.4*keras.binary_crossentropy'],
        'accuracy OneHotMeanIoU BinaryIoU',
        'softmax 5 one_hot None',
    ),
    'deep_supervision.py': (
        'fully',
        ['keras.binary_crossentropy', '0.5*keras.binary_crossentropy', '0.25*keras.binary_crossentropy'],
        '',
        'sigmoid 1 None None',
    ),
    'closure.py': ('fully', ['own.weighted_categorical_crossentropy'], '', 'softmax 3 None 2'),
    'partial_and_lambda.py': (
        'fully',
        ['keras.categorical_focal_crossentropy', 'own.<lambda>'],
        '',
        'softmax 2 one_hot None',
    ),
    'tape.py': ('fully', ['keras.SparseCategoricalCrossentropy + 0.5*keras.Dice'], '', 'logits None ids None'),
    'ours.py': ('fully', ['segparity.WeightedSumLoss'], 'MeanIoU', 'logits 4 None None'),
    'hub.py': (
        'fully',
        ['keras.SparseCategoricalCrossentropy'],
        'SparseCategoricalAccuracy MeanIoU',
        'softmax 21 ids None',
    ),
    'unet_collection.py': ('fully', [f'{KUC}.focal_tversky'], 'accuracy dice_coef', 'softmax 3 None None'),
    'addons.py': ('fully', ['tensorflow_addons.SigmoidFocalCrossEntropy'], 'F1Score', 'sigmoid 1 None None'),
    'own_class.py': ('fully', ['own.DiceLoss'], 'MeanIoU', 'sigmoid 1 None None'),
    'train_function.py': ('fully', ['keras.KLDivergence'], 'accuracy', 'softmax 7 None None'),
    'fine_tuning.py': (
        'fully',
        ['keras.SparseCategoricalCrossentropy', 'keras.SparseCategoricalCrossentropy'],
        'accuracy accuracy',
        'logits 3 ids None',
    ),
    'saved.py': ('not', [], '', ''),
    'add_loss.py': ('fully', ['keras.binary_crossentropy'], 'mean_absolute_error', 'sigmoid 1 None None'),
    'class_weight.py': ('partly', ['keras.sparse_categorical_crossentropy'], 'accuracy', 'softmax 2 ids None'),
    'smp_train.py': ('fully', ['smp.DiceLoss + 0.5*smp.FocalLoss'], '', 'logits 5 None None'),
    'monai_train.py': ('fully', ['monai.DiceCELoss'], 'DiceMetric', 'None None None None'),
    'torch_train.py': (
        'fully',
        ['torch.CrossEntropyLoss + 0.4*torch.cross_entropy'],
        'JaccardIndex',
        'None None None None',
    ),
    'torch_module.py': ('fully', ['own.Both'], '', 'None None None None'),
    'whales.ipynb': ('fully', ['keras_unet.jaccard_distance'], 'iou iou_thresholded', 'sigmoid 1 None 2.3.1'),
    'mixed.ipynb': ('partly', ['keras.binary_crossentropy'], 'accuracy', 'sigmoid 1 None None'),
    'colab.ipynb': ('fully', [f'{SM}.DiceLoss + {SM}.BinaryFocalLoss'], 'IOUScore FScore', 'sigmoid 1 None 2'),
    'old_format.ipynb': ('fully', ['keras.mean_squared_error'], '', 'sigmoid 1 None None'),
    'compile.json': ('fully', ['keras.Tversky', '0.25*keras.binary_crossentropy'], 'accuracy', 'None None None None'),
    'model.json': ('fully', ['keras.categorical_crossentropy'], 'accuracy dice_coef', 'softmax 6 one_hot None'),
}
REFUSED = {'python2.py'}


def sums(source):
    return [
        ' + '.join(('' if i.weight == 1 else f'{i.weight:g}*') + f'{i.library}.{i.name}' for i in output.losses)
        for output in source.outputs
    ]


def test_every_source_has_an_expectation():
    assert {path.name for path in CORPUS.iterdir()} == {*READ, *REFUSED}


@pytest.mark.parametrize('name', READ)
def test_reading(name):
    how, losses, metrics, facts = READ[name]
    source = read_source(CORPUS / name)
    assert sums(source) == losses
    assert [item.name for item, _ in source.metrics] == metrics.split()
    if facts:
        context = source.outputs[0].context
        assert f'{context.activation} {context.channels} {context.labels} {context.version}' == facts
    read = 'not' if not source.outputs and not source.metrics else 'partly' if source.unread else 'fully'
    assert read == how, source.unread


def test_how_many_are_read():
    count = {how: sum(1 for row in READ.values() if row[0] == how) for how in ('fully', 'partly', 'not')}
    assert count == {'fully': 32, 'partly': 4, 'not': 3}


def test_python_2_is_named():
    with pytest.raises(ValueError, match=r'python2.py is Python 2, which is not read: line 3: print "training"$'):
        read_source(CORPUS / 'python2.py')


def lines(name):
    source = read_source(CORPUS / name)
    return {item.name: f'{Path(item.place.file).name}:{item.place.line}' for o in source.outputs for item in o.losses}


def test_places():
    assert [o.name for o in read_source(CORPUS / 'colab.ipynb').outputs] == ['compile in cell 4 at line 1']
    assert [o.name for o in read_source(CORPUS / 'unet_bce.py').outputs] == ['compile at line 15']
    assert lines('sm_weighted_sum.py') == {
        'DiceLoss': 'sm_weighted_sum.py:8',
        'CategoricalFocalLoss': 'sm_weighted_sum.py:9',
    }
    assert lines('unet_bce.py') == {'binary_crossentropy': 'unet_bce.py:15'}
    assert lines('own_import.py') == {'focal_tversky': 'own_losses.py:10'}
    assert lines('colab.ipynb') == {'DiceLoss': 'colab.ipynb[3]:1', 'BinaryFocalLoss': 'colab.ipynb[3]:2'}
    assert lines('compile.json') == {'Tversky': 'compile.json:13', 'binary_crossentropy': 'compile.json:25'}


def arguments(name, output=0, loss=0):
    return read_source(CORPUS / name).outputs[output].losses[loss].arguments


def test_arguments():
    assert arguments('sm_sum.py') == {'class_weights': [0.25, 0.25, 0.25, 0.25]}
    assert arguments('sm_weighted_sum.py', loss=1) == {'alpha': 0.25, 'gamma': 2.0}
    assert arguments('chosen_by_key.py') == {'alpha': 0.3, 'beta': 0.7, 'axis': [1, 2]}
    assert arguments('compile.json') == {'alpha': 0.3, 'beta': 0.7, 'axis': None}
    assert arguments('unet_collection.py') == {'alpha': 0.7, 'gamma': 4 / 3}
    assert arguments('smp_train.py') == {'mode': 'multiclass', 'ignore_index': 255}
    assert arguments('torch_train.py') == {'weight': [0.2, 0.8, 1.0], 'ignore_index': 255}
    assert arguments('addons.py')['reduction'] == 'sum_over_batch_size'
    assert arguments('closure.py')['0'] == [0.5, 2.0, 10.0]
    ours = arguments('ours.py')
    assert ours['weights'] == [1.0, 0.5]
    assert [(item.library, item.name, item.arguments) for item in ours['0']] == [
        ('segparity', 'SoftDiceLoss', {'from_logits': True}),
        ('segparity', 'WeightedCrossEntropyLoss', {'from_logits': True, 'ignore_class': 255}),
    ]


def summed(item):
    """(weight, name, inner sum) of what an own loss adds up, and its constant."""
    terms = item.arguments.get('terms')
    return terms and ([(t.weight, t.library, t.name, summed(t)) for t in terms], item.arguments.get('constant', 0))


def test_own_losses_say_what_they_add_up():
    (item,) = read_source(CORPUS / 'bce_dice.py').outputs[0].losses
    dice = ([(-1.0, 'own', 'dice_coeff', None)], 1.0)
    assert summed(item) == ([(0.5, 'keras', 'binary_crossentropy', None), (1.0, 'own', 'dice_loss', dice)], 0)
    (item,) = read_source(CORPUS / 'own_dice.py').outputs[0].losses
    assert summed(item) == ([(-1.0, 'own', 'dice_coef', None)], 0)
    (item,) = read_source(CORPUS / 'partial_and_lambda.py').outputs[1].losses
    assert summed(item) == ([(1.0, 'keras', 'categorical_crossentropy', None), (0.1, 'keras', 'dice', None)], 0)
    (item,) = read_source(CORPUS / 'torch_module.py').outputs[0].losses
    assert summed(item) == ([(1.0, 'smp', 'DiceLoss', None), (0.3, 'smp', 'SoftBCEWithLogitsLoss', None)], 0)


def parts(name, output=0):
    (item,) = read_source(CORPUS / name).outputs[output].losses
    found, constant = expanded(dataclasses.replace(item, weight=2.0))
    return [(part.weight, part.name) for part in found], constant


def test_sums_are_taken_apart_as_far_as_their_parts_have_names():
    assert parts('bce_dice.py') == ([(1.0, 'binary_crossentropy'), (2.0, 'dice_loss')], 0)
    assert parts('partial_and_lambda.py', 1) == ([(2.0, 'categorical_crossentropy'), (0.2, 'dice')], 0)
    assert parts('torch_module.py') == ([(2.0, 'DiceLoss'), (0.6, 'SoftBCEWithLogitsLoss')], 0)
    assert parts('own_dice.py') == ([(2.0, 'dice_coef_loss')], 0)
    assert parts('unet_bce.py') == ([(2.0, 'binary_crossentropy')], 0)
    bce = Item('keras', 'binary_crossentropy', weight=0.5)
    inner = Item('own', 'half', {'terms': [bce], 'constant': 3.0}, weight=4.0)
    outer = Item('own', 'all', {'terms': [inner, bce], 'constant': 1.0}, weight=2.0)
    found, constant = expanded(outer)  # 2 (4 (0.5 bce + 3) + 0.5 bce + 1)
    assert ([part.weight for part in found], constant) == ([4.0, 1.0], 26.0)


OWN = {  # an own loss -> verdict, our loss, a constant
    'own_dice.py': ('exact', 'SoftDiceLoss', -1.0),
    'bce_dice.py': ('float32', 'WeightedSumLoss', 0.0),
    'own_import.py': ('exact', 'FocalTverskyLoss', 0.0),
    'closure.py': ('float32', 'WeightedCrossEntropyLoss', 0.0),
    'own_class.py': ('exact', 'SoftDiceLoss', 0.0),
    'torch_module.py': ('exact', 'WeightedSumLoss', 0.0),
    'own_missing.py': ('none', 'NoneType', 0.0),
}


@pytest.mark.parametrize('name', OWN)
def test_own_losses_are_those_of_ours_that_they_compute(name):
    output = read_source(CORPUS / name).outputs[0]
    (found,) = migrate_item(output.losses[0], output.context).readings
    assert (found.verdict, type(found.spec).__name__, found.offset) == OWN[name]


def test_own_losses_carry_their_source():
    source = (CORPUS / 'own_losses.py').read_text()
    text = arguments('own_import.py')['source']
    assert text.startswith('def focal_tversky(') and text in source
    assert arguments('closure.py')['source'].endswith('    return loss')
    assert arguments('own_class.py')['source'].startswith('class DiceLoss(')
    assert arguments('partial_and_lambda.py', 1)['source'].startswith('lambda t, p: ')


def test_a_module_beside_the_script_is_named_among_the_files():
    assert [Path(file).name for file in read_source(CORPUS / 'own_import.py').files] == [
        'own_import.py',
        'own_losses.py',
    ]


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('chosen_by_argument.py', 'its key is known only when the source runs; it is one of dice, ce, tversky'),
        ('chosen_by_branch.py', "it depends on `sys.argv[1] == 'dice'`, which is not known"),
        ('own_missing.py', 'it is defined in project.measures, which is not beside the source'),
        ('saved.py', 'the losses are those of the saved model: read the .keras file'),
        (
            'own_losses.py',
            'no compile and no loss of a known library was found; segparity recognise compares a function such as '
            'tversky with ours',
        ),
        ('mixed.ipynb', 'the cell is Python 2, which is not read: line 1: print "Python 2"'),
        ('mixed.ipynb', 'the cell is for %%bash'),
        ('mixed.ipynb', "the cell is no Python 3 that can be read: line 1: '(' was never closed"),
    ],
)
def test_what_is_not_read_is_named(name, reason):
    source = read_source(CORPUS / name)
    found = next(unread for unread in source.unread if unread.reason == reason)
    assert isinstance(found, Unread) and found.place.file.startswith(str(CORPUS / name))


@pytest.mark.parametrize(
    ('name', 'sentence'),
    [
        ('class_weight.py', ':8: fit(class_weight=...) raises on label maps'),
        ('class_weight.py', ':8: sample_weight changes the loss and weighted_metrics, not metrics'),
        ('chosen_by_key.py', ':7: run_eagerly=True'),
        ('add_loss.py', ':7: add_loss adds to what compile has'),
        ('add_loss.py', ':8: compile has no loss'),
        ('saved.py', ':4: load_model takes losses and metrics from the saved model with dice_loss, dice_coef'),
        ('tape.py', ':14: a loop of its own calls SparseCategoricalCrossentropy, Dice'),
        ('hub.py', ':5: weighted_metrics alone receive sample_weight'),
    ],
)
def test_remarks(name, sentence):
    assert any(sentence in remark for remark in read_source(CORPUS / name).remarks)


def test_calls_that_notes_ask_for():
    calls = {(call.name, str(call.arguments)) for call in read_source(CORPUS / 'sparse_logits.py').seen_calls}
    assert ('UpSampling2D', "{'0': 4, 'interpolation': 'bilinear'}") in calls
    assert any(name == 'Conv2D' and "'strides': 4, 'padding': 'same'" in text for name, text in calls)
    divided = {call.name: call.arguments for call in read_source(CORPUS / 'own_dice.py').seen_calls}
    assert divided['/'] == {'1': 255.0}
    (norm,) = [c for c in read_source(CORPUS / 'model.json').seen_calls if c.name == 'BatchNormalization']
    assert norm.arguments == {'momentum': 0.99, 'epsilon': 0.001}


@pytest.mark.parametrize(
    ('name', 'title'),
    [
        ('bce_dice.py', 'Padding at stride 2'),
        ('own_class.py', 'MeanIoU of probabilities'),
        ('unet_bce.py', 'Masks of 0 and 255'),
        ('model.json', 'BatchNorm'),
    ],
)
def test_notes_that_the_calls_bring(name, title):
    source = read_source(CORPUS / name)
    assert title in [note.title for note in notes_for(source.seen_calls, source.seen_keys)]


def test_items_are_plain_throughout():
    for name in READ:
        source = read_source(CORPUS / name)
        waiting = [item for output in source.outputs for item in output.losses] + [item for item, _ in source.metrics]
        while waiting:
            value = waiting.pop()
            if isinstance(value, Item):
                waiting.extend(value.arguments.values())
            elif isinstance(value, dict):
                waiting.extend(value.values())
            elif isinstance(value, (list, tuple)):
                waiting.extend(value)
            else:
                assert value is None or isinstance(value, (str, int, float, bool, Unread)), (name, value)
