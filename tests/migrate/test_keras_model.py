"""Saved Keras models: what is found in them, those that Keras itself writes, and those that somebody forged."""

import io
import json
import zipfile
from importlib.metadata import version

import pytest

from segparity.migrate.items import Unread
from segparity.migrate.reading import read_source
from shared_spec import from_dict
from tests.support.frameworks import axis


def layer(kind, name, before=None, **config):
    """A layer as Keras 3 writes it."""
    nodes = [] if before is None else [{'args': [{'config': {'keras_history': [before, 0, 0]}}], 'kwargs': {}}]
    return {
        'module': 'keras.layers',
        'class_name': kind,
        'config': {'name': name, **config},
        'name': name,
        'inbound_nodes': nodes,
    }


def functional(layers, outputs, **more):
    return {
        'module': 'keras.src.models.functional',
        'class_name': 'Functional',
        'config': {'name': 'model', 'layers': layers, 'input_layers': ['input', 0, 0], 'output_layers': outputs},
        'registered_name': 'Functional',
        **more,
    }


def loss(kind, module='keras.losses', registered=None, **config):
    return {'module': module, 'class_name': kind, 'config': config, 'registered_name': registered}


def function(name):
    return {'module': 'builtins', 'class_name': 'function', 'config': name, 'registered_name': 'function'}


ONE = [layer('InputLayer', 'input'), layer('Conv2D', 'last', 'input', filters=4, activation='softmax')]


def keras_file(path, model, version='3.15.1', members=None, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, 'w', method) as archive:
        archive.writestr('metadata.json', json.dumps({'keras_version': version}))
        archive.writestr('config.json', model if isinstance(model, (str, bytes)) else json.dumps(model))
        for name, content in (members or {}).items():
            archive.writestr(name, content)
    return path


def read(tmp_path, layers=ONE, outputs=('last', 0, 0), version='3.15.1', **compiled):
    model = functional(layers, list(outputs) if isinstance(outputs, tuple) else outputs, compile_config=compiled)
    return read_source(keras_file(tmp_path / 'model.keras', model, version))


def test_a_loss_object(tmp_path):
    source = read(
        tmp_path, loss=loss('Dice', name='dice', reduction='sum_over_batch_size', axis=[1, 2]), metrics=['acc']
    )
    (output,) = source.outputs
    (item,) = output.losses
    assert (source.kind, source.world) == ('Keras model', 'keras')
    assert (item.library, item.name, item.arguments, item.weight) == ('keras', 'Dice', {'axis': [1, 2]}, 1)
    assert item.text == 'Dice(axis=[1, 2])'
    context = output.context
    assert (context.activation, context.channels, context.num_classes, context.version) == ('softmax', 4, 4, '3.15.1')
    assert [(m.library, m.name, c) for m, c in source.metrics] == [('keras', 'accuracy', context)]


@pytest.mark.parametrize(
    ('given', 'library', 'name'),
    [
        ('bce', 'keras', 'binary_crossentropy'),
        ('KLD', 'keras', 'kl_divergence'),
        ('Dice', 'keras', 'Dice'),
        ('dice_coef_loss', 'own', 'dice_coef_loss'),
        (function('binary_crossentropy'), 'keras', 'binary_crossentropy'),
        (function('dice_loss'), 'own', 'dice_loss'),
        (function('mine>dice_loss'), 'own', 'dice_loss'),
        (loss('Dice'), 'keras', 'Dice'),
        (loss('Dice', 'project.losses', 'mine>Dice'), 'own', 'Dice'),
        (loss('SoftDiceLoss', 'keras_plugin.losses.region.soft_overlap', 'segparity>SoftDiceLoss'), 'segparity', 'SoftDiceLoss'),
        (loss('SigmoidFocalCrossEntropy', None, 'Addons>SigmoidFocalCrossEntropy'), 'tensorflow_addons', 'SigmoidFocalCrossEntropy'),
        ({'class_name': 'CategoricalCrossentropy', 'config': {'from_logits': False}}, 'keras', 'CategoricalCrossentropy'),
    ],
)  # fmt: skip
def test_whose_a_loss_is(tmp_path, given, library, name):
    ((item,),) = [output.losses for output in read(tmp_path, loss=given).outputs]
    assert (item.library, item.name) == (library, name)


def test_losses_in_our_sum_are_items(tmp_path):
    given = loss(
        'WeightedSumLoss',
        'keras_plugin.losses.compound.weighted_sum',
        'segparity>WeightedSumLoss',
        losses=[{'type': 'SoftDiceLoss', 'smooth': 0.5, 'name': 'a', 'dtype': 'float32'}],
        weights=[2.0],
    )
    ((item,),) = [output.losses for output in read(tmp_path, loss=given).outputs]
    (inner,) = item.arguments['losses']
    assert (inner.library, inner.name, inner.arguments) == ('segparity', 'SoftDiceLoss', {'smooth': 0.5})
    assert item.arguments['weights'] == [2.0]


TWO = [
    layer('InputLayer', 'input'),
    layer('Conv2D', 'features', 'input', filters=8, activation='relu'),
    layer('Conv2D', 'mask', 'features', filters=5, activation='linear'),
    layer('Softmax', 'soft', 'mask'),
    layer('Conv2D', 'edge', 'features', filters=1, activation='sigmoid'),
]


@pytest.mark.parametrize(
    'outputs', [[['soft', 0, 0], ['edge', 0, 0]], {'mask': ['soft', 0, 0], 'edge': ['edge', 0, 0]}]
)
@pytest.mark.parametrize('named', [False, True])
def test_two_outputs(tmp_path, outputs, named):
    words = ('mask' if isinstance(outputs, dict) else 'soft', 'edge')
    given = dict(loss=['bce', 'mse'], loss_weights=[1, 0.5], metrics=[['acc'], ['mae', 'acc']])
    if named:
        given = {key: dict(zip(words, value)) for key, value in given.items()}
    source = read(tmp_path, TWO, outputs, **given)
    found = [(o.losses[0].name, o.losses[0].weight, o.context.activation, o.context.channels) for o in source.outputs]
    assert found == [('binary_crossentropy', 1, 'softmax', 5), ('mean_squared_error', 0.5, 'sigmoid', 1)]
    assert [output.name for output in source.outputs] == [f'compile, output {w}' for w in (words if named else (0, 1))]
    assert [(m.name, c.channels) for m, c in source.metrics] == [
        ('accuracy', 5),
        ('mean_absolute_error', 1),
        ('accuracy', 1),
    ]


def test_a_list_of_losses_on_one_output_is_one_loss(tmp_path):
    source = read(tmp_path, loss=['categorical_crossentropy', loss('Dice')])
    assert [item.name for output in source.outputs for item in output.losses] == ['categorical_crossentropy']
    assert 'trains on the first alone' in source.remarks[0]


@pytest.mark.parametrize(
    ('layers', 'last', 'activation', 'channels'),
    [
        ([layer('Conv2D', 'a', 'input', filters=3, activation='linear')], 'a', 'logits', 3),
        ([layer('Conv2D', 'a', 'input', filters=3), layer('Activation', 'b', 'a', activation='sigmoid')], 'b', 'sigmoid', 3),
        ([layer('Conv2D', 'a', 'input', filters=3, activation='softmax'), layer('UpSampling2D', 'b', 'a')], 'b', 'softmax', 3),
        ([layer('Conv2D', 'a', 'input', filters=3, activation='tanh')], 'a', None, 3),
        ([layer('Dense', 'a', 'input', units=7, activation='softmax'), layer('Reshape', 'b', 'a', target_shape=[4, 4, 7])], 'b', None, 7),
        ([layer('Conv2D', 'a', 'input', filters=3, activation='softmax'), layer('Lambda', 'b', 'a')], 'b', None, None),
        ([layer('Conv2D', 'a', 'input', filters=2), layer('TFOpLambda', 'b', 'a', function='nn.softmax')], 'b', 'softmax', 2),
        ([layer('Add', 'a', 'input')], 'a', None, None),
        ([functional([layer('InputLayer', 'i'), layer('Conv2D', 'x', 'i', filters=6, activation='softmax')], ['x', 0, 0], name='net', inbound_nodes=[[['input', 0, 0, {}]]])], 'net', 'softmax', 6),
    ],
)  # fmt: skip
def test_the_last_layer(tmp_path, layers, last, activation, channels):
    source = read(tmp_path, [layer('InputLayer', 'input'), *layers], (last, 0, 0), loss='mse')
    context = source.outputs[0].context
    assert (context.activation, context.channels) == (activation, channels)


@pytest.mark.parametrize(
    ('activation', 'expected'),
    [('softmax', 'softmax'), (None, 'logits'), (function('sigmoid'), 'sigmoid'), (loss('Softmax', 'keras.layers'), 'softmax')],
)  # fmt: skip
def test_a_model_of_one_class(tmp_path, activation, expected):
    model = {
        'module': 'keras_hub.src.models.deeplab_v3.deeplab_v3_segmenter',
        'class_name': 'DeepLabV3ImageSegmenter',
        'config': {'backbone': {'class_name': 'DeepLabV3Backbone', 'config': {}}, 'num_classes': 21, 'activation': activation},
        'compile_config': {'loss': 'sparse_categorical_crossentropy'},
    }  # fmt: skip
    (output,) = read_source(keras_file(tmp_path / 'a.keras', model)).outputs
    assert (output.context.activation, output.context.channels, output.context.labels) == (expected, 21, 'ids')


def test_a_model_of_keras_2(tmp_path):
    model = {
        'class_name': 'Functional',
        'config': {
            'layers': [
                {'class_name': 'InputLayer', 'config': {}, 'name': 'i', 'inbound_nodes': []},
                {'class_name': 'Conv2D', 'config': {'filters': 2, 'activation': 'linear'}, 'name': 'c', 'inbound_nodes': [[['i', 0, 0, {}]]]},
                {'class_name': 'Activation', 'config': {'activation': 'softmax'}, 'name': 's', 'inbound_nodes': [[['c', 0, 0, {}]]]},
            ],
            'output_layers': [['s', 0, 0]],
        },
        'compile_config': {'loss': 'dice_loss', 'metrics': ['accuracy'], 'loss_weights': None},
    }  # fmt: skip
    (output,) = read_source(keras_file(tmp_path / 'a.keras', model, '2.15.0')).outputs
    assert (output.context.version, output.context.activation, output.context.channels) == ('2.15.0', 'softmax', 2)


@pytest.mark.parametrize(
    ('layers', 'given', 'said'),
    [
        (ONE, loss('CategoricalCrossentropy', from_logits=True), 'the last layer is a softmax and the loss has from_logits=True'),
        ([*ONE[:1], layer('Conv2D', 'last', 'input', filters=4, activation='linear')], 'categorical_crossentropy', 'from_logits=True is missing'),
        ([*ONE[:1], layer('Conv2D', 'last', 'input', filters=1, activation='softmax')], 'bce', 'a softmax over one channel is 1 everywhere'),
        ([*ONE[:1], layer('Conv2D', 'last', 'input', filters=1, activation='tanh')], 'mse', "ends in 'tanh'"),
    ],
)  # fmt: skip
def test_mistakes_that_a_model_shows(tmp_path, layers, given, said):
    source = read(tmp_path, layers, loss=given)
    assert any(said in sentence for sentence in [*source.remarks, *(unread.reason for unread in source.unread)])


def test_what_is_no_number_is_not_read(tmp_path):
    config = '{"loss": {"a": "mse", "b": "bce"}, "loss_weights": {"a": NaN, "b": "x"}}'
    model = json.dumps(functional(ONE, ['last', 0, 0])).removesuffix('}') + f', "compile_config": {config}}}'
    source = read_source(keras_file(tmp_path / 'a.keras', model))
    assert [type(output.losses[0].weight) for output in source.outputs] == [Unread, Unread]


def test_a_model_that_was_not_compiled(tmp_path):
    source = read_source(keras_file(tmp_path / 'a.keras', functional(ONE, ['last', 0, 0])))
    assert not source.outputs
    assert source.unread[0].reason == 'the model was saved without what compile was given: compile it before model.save'


def test_what_moves_with_the_model(tmp_path):
    layers = [
        layer('InputLayer', 'input'),
        layer('Rescaling', 'r', 'input', scale=1 / 255),
        layer('Conv2D', 'c', 'r', filters=8, strides=[2, 2], padding='same', activation='relu'),
        layer('BatchNormalization', 'n1', 'c', momentum=0.99, epsilon=0.001),
        layer('BatchNormalization', 'n2', 'n1', momentum=0.99, epsilon=0.001),
        layer('UpSampling2D', 'last', 'n2', size=[2, 2], interpolation='bilinear'),
    ]
    adam = {'class_name': 'Adam', 'config': {'weight_decay': 0.01, 'clipnorm': None}}
    source = read(tmp_path, layers, loss='mse', metrics=['acc', 'mae'], optimizer=adam)
    calls = {call.name: dict(call.arguments) for call in source.seen_calls}
    assert calls['Adam'] == {'weight_decay': 0.01}
    assert calls['compile'] == {'loss': 'mse', 'metrics': ('acc', 'mae')}
    assert calls['Rescaling'] == {'scale': 1 / 255}
    assert calls['Conv2D'] == {'filters': 8, 'strides': [2, 2], 'padding': 'same'}
    assert calls['BatchNormalization'] == {'momentum': 0.99, 'epsilon': 0.001}
    assert calls['UpSampling2D'] == {'size': [2, 2], 'interpolation': 'bilinear'}


# Refused in a sentence


def damaged(tmp_path, name):
    path = keras_file(tmp_path / 'a.keras', functional(ONE, ['last', 0, 0], compile_config={'loss': 'mse'}))
    data = bytearray(path.read_bytes())
    if name == 'cut':
        del data[-40:]
    elif name == 'text':
        data = bytearray(b'not a zip at all')
    elif name == 'flipped':
        data[data.index(b'Functional')] ^= 0xFF
    elif name == 'encrypted':
        for at in range(len(data) - 4):
            if data[at : at + 4] == b'PK\x01\x02':
                data[at + 8] |= 1
    elif name == 'method':
        for at in range(len(data) - 4):
            if data[at : at + 4] == b'PK\x01\x02':
                data[at + 10] = 99
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ('name', 'said'),
    [
        ('cut', 'is no .keras file or damaged: '),
        ('text', 'is no .keras file or damaged: File is not a zip file'),
        ('flipped', 'is no .keras file or damaged: Bad CRC'),
        ('encrypted', 'is not read: its config.json is encrypted'),
        ('method', 'is no .keras file or damaged: '),
    ],
)
def test_damaged_files(tmp_path, name, said):
    with pytest.raises(ValueError) as error:
        read_source(damaged(tmp_path, name))
    assert said in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize('name', ['../evil', '/etc/passwd', 'a/../../b', 'C:\\x', '\\\\server\\x', 'a\\..\\b'])
def test_names_that_lead_out(tmp_path, name):
    path = keras_file(tmp_path / 'a.keras', functional(ONE, ['last', 0, 0]), members={name: 'x'})
    with pytest.raises(ValueError, match='leads out of the archive'):
        read_source(path)


def test_a_member_that_is_there_twice(tmp_path):
    path = tmp_path / 'a.keras'
    with pytest.warns(UserWarning, match='Duplicate'):
        keras_file(path, functional(ONE, ['last', 0, 0]), members={'config.json': '{}'})
    with pytest.raises(ValueError, match='it has config.json 2 times, expected once'):
        read_source(path)


@pytest.mark.parametrize(
    ('config', 'said'),
    [
        (b' ' * (17 << 20), 'its config.json unpacks to more than 16 MiB'),
        (b'[' * 100_000, 'is nested too deeply'),
        (b'{"a":' * 300 + b'1' + b'}' * 300, 'is nested too deeply, expected at most 200 levels'),
        (b'[' + b'[],' * 600_000 + b'0]', 'has more than 500,000 values'),
        (b'{"class_name": ', 'is no JSON: '),
        (b'\xff\xfe\xfa', 'is no text, expected JSON in UTF-8'),
        (b'[1, 2]', 'is no model: expected a file that model.save wrote'),
        (b'{"class_name": 3}', 'is no model: expected a file that model.save wrote'),
        (b'9' * 5000, 'is no JSON: '),
    ],
    ids=['bomb', 'lists', 'dicts', 'values', 'cut', 'bytes', 'list', 'number', 'digits'],
)
def test_hostile_json(tmp_path, config, said):
    path = keras_file(tmp_path / 'a.keras', config, method=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError) as error:
        read_source(path)
    assert said in str(error.value) and '\n' not in str(error.value)


def test_missing_members(tmp_path):
    data = io.BytesIO()
    with zipfile.ZipFile(data, 'w') as archive:
        archive.writestr('other.json', '{}')
    (tmp_path / 'a.keras').write_bytes(data.getvalue())
    with pytest.raises(ValueError, match='a.keras has no config.json: expected a file that model.save wrote'):
        read_source(tmp_path / 'a.keras')


def test_a_long_list_of_members_is_not_loaded(tmp_path):
    path = tmp_path / 'a.keras'
    with zipfile.ZipFile(path, 'w') as archive:
        for number in range(16_000):
            archive.writestr(f'{number:05}{"x" * 30}', '')
    with pytest.raises(ValueError, match='its list of members is too long'):
        read_source(path)


@pytest.mark.parametrize(('name', 'data'), [('a.h5', b'x'), ('a.hdf5', b''), ('a.keras', b'\x89HDF\r\n\x1a\n...')])
def test_the_older_format_says_what_to_do(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=r"older format \(HDF5\), .* save it with model.save\('model.keras'\)"):
        read_source(tmp_path / name)


def test_folders_and_missing_files(tmp_path):
    with pytest.raises(ValueError, match='is a folder, expected a configuration'):
        read_source(tmp_path)
    (tmp_path / 'saved_model.pb').write_bytes(b'')
    with pytest.raises(ValueError, match='is a folder, a SavedModel'):
        read_source(tmp_path)
    with pytest.raises(ValueError, match='nowhere.keras cannot be read: No such file'):
        read_source(tmp_path / 'nowhere.keras')
    (tmp_path / 'a.txt').write_text('x')
    with pytest.raises(ValueError, match='a.txt is no source that is read'):
        read_source(tmp_path / 'a.txt')


@pytest.mark.parametrize('text', ['{}', '[]', '{"cells": 3, "nbformat": 4}', '3'])
def test_json_of_another_kind(tmp_path, text):
    (tmp_path / 'a.ipynb').write_text(text)
    with pytest.raises(ValueError, match='a.ipynb is no notebook'):
        read_source(tmp_path / 'a.ipynb')


# What Keras itself writes


@pytest.mark.parametrize('framework', axis('keras_tensorflow'))
def test_files_that_keras_writes(framework, worker, tmp_path):
    ours = from_dict(worker.call('tests.migrate.keras_calls:write_files', folder=str(tmp_path))[0])
    for name in ('model.keras', 'compile.json', 'model.json'):
        source = read_source(tmp_path / name)
        if not source.outputs and name == 'model.json':
            continue  # to_json of this version leaves compile out
        items = {item.name: item for output in source.outputs for item in output.losses}
        dice, focal = items['SoftDiceLoss'], items['BinaryFocalCrossentropy']
        assert (dice.library, dice.weight, focal.library, focal.weight) == ('segparity', 2, 'keras', 0.5)
        assert type(ours).from_keras(dice.arguments) == ours
        assert focal.arguments['gamma'] == 1.5
        assert {item.name for item, _ in source.metrics} == {'MeanIoU', 'accuracy'}
        if name != 'compile.json':
            facts = {o.name.split()[-1]: (o.context.activation, o.context.channels) for o in source.outputs}
            assert facts == {'mask': ('logits', 4), 'edge': ('sigmoid', 1)}
    assert read_source(tmp_path / 'model.keras').outputs[0].context.version == version('keras')
