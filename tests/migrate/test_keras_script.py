"""How a script's compile, its losses and what is around them are read, form by form."""

import pytest

from segparity.migrate.items import Unread
from segparity.migrate.reading import read_source

HEAD = """
import numpy as np
import tensorflow as tf
import keras
from keras import layers, losses, ops
import segmentation_models as sm
model = keras.Sequential([layers.Conv2D(3, 1, activation='softmax')])
"""


@pytest.fixture
def read(tmp_path):
    def read(text, head=HEAD):
        (tmp_path / 'script.py').write_text(head + text)
        return read_source(tmp_path / 'script.py')

    return read


def items(source):
    return [(item.weight, item.library, item.name) for output in source.outputs for item in output.losses]


@pytest.mark.parametrize(
    ('loss', 'found'),
    [
        ("'bce'", [(1, 'keras', 'binary_crossentropy')]),
        ("'MSE'", [(1, 'keras', 'mean_squared_error')]),
        ("'Tversky'", [(1, 'keras', 'Tversky')]),
        ("'weighted_bce'", [(1, 'own', 'weighted_bce')]),
        ('tf.keras.losses.BinaryCrossentropy()', [(1, 'keras', 'BinaryCrossentropy')]),
        ('tf.losses.categorical_crossentropy', [(1, 'keras', 'categorical_crossentropy')]),
        ('keras.backend.binary_crossentropy', [(1, 'keras', 'binary_crossentropy')]),
        ("tf.keras.losses.get('kld')", [(1, 'keras', 'kl_divergence')]),
        ("keras.losses.get({'class_name': 'Dice', 'config': {'axis': [1, 2]}})", [(1, 'keras', 'Dice')]),
        ('losses.Dice() + losses.Dice()', [(1, 'keras', 'Dice'), (1, 'keras', 'Dice')]),
        ('sm.losses.DiceLoss() + 2 * sm.losses.CategoricalFocalLoss()', [(1, 'segmentation_models', 'DiceLoss'), (2, 'segmentation_models', 'CategoricalFocalLoss')]),
        ('(sm.losses.dice_loss + sm.losses.jaccard_loss) / 2', [(0.5, 'segmentation_models', 'dice_loss'), (0.5, 'segmentation_models', 'jaccard_loss')]),
        ('sm.losses.DiceLoss() - sm.losses.JaccardLoss() * 0.5', [(1, 'segmentation_models', 'DiceLoss'), (-0.5, 'segmentation_models', 'JaccardLoss')]),
        ('tf.function(losses.dice)', [(1, 'keras', 'dice')]),
        ('[losses.Dice()]', [(1, 'keras', 'Dice')]),
        ('None', []),
    ],
)  # fmt: skip
def test_forms_of_a_loss(read, loss, found):
    source = read(f"loss = {loss}\nmodel.compile('adam', loss=loss)")
    assert items(source) == found, source.unread


@pytest.mark.parametrize(
    ('loss', 'reason'),
    [
        ('losses.Dice', None),
        ('make()[3]', 'what is chosen by a key is known only when the source runs'),
        ('3', 'it is neither a name nor an object'),
        ('losses.Dice() ** 2', 'it is calculated from losses in a way that is not read'),
        ('losses.Dice() * losses.Dice()', 'it is calculated from losses in a way that is not read'),
        ('settings.loss', 'the source does not define it'),
    ],
)
def test_losses_that_are_not_read(read, loss, reason):
    source = read(f"model.compile('adam', loss={loss})")
    if reason is None:  # a class, which Keras does not take
        assert [name for _, _, name in items(source)] == ['Dice']
    else:
        assert any(
            unread.reason.startswith(reason) or unread.reason.startswith('it is defined in') for unread in source.unread
        )


@pytest.mark.parametrize(
    ('call', 'weights', 'metrics'),
    [
        ("compile('adam', 'mse', ['acc'])", [1], ['accuracy']),
        ("compile('adam', 'mse', 2.0, ['acc'])", [2], ['accuracy']),
        ("compile('adam', 'mse', ['acc'], [0.5])", [0.5], ['accuracy']),
        ("compile('adam', ['mse', 'bce'], [0.5, 2], ['acc'])", [0.5, 2], ['accuracy']),
        ("compile(loss=['mse', 'bce'], loss_weights=[np.sqrt(2), 2])", [Unread, 2], []),
        ("compile(loss={'a': 'mse', 'b': 'bce'}, loss_weights={'b': 3})", [1, 3], []),
        ("compile(loss='mse', metrics='acc', weighted_metrics=['mae'])", [1], ['accuracy', 'mean_absolute_error']),
        ("compile(loss='mse', metrics=['mean_io_u', keras.metrics.IoU(2, [1]), len])", [1], ['MeanIoU', 'IoU']),
    ],
)
def test_arguments_of_compile(read, call, weights, metrics):
    source = read(f'net = build()\nnet.{call}')
    found = [weight if not isinstance(weight, Unread) else Unread for weight, _, _ in items(source)]
    assert found == weights
    assert [item.name for item, _ in source.metrics] == metrics


def test_the_third_argument_is_told_by_what_it_holds(read):
    (remark,) = read("model.compile('adam', 'mse', ['acc'])").remarks
    assert 'the third argument of compile is metrics in Keras 2 and loss_weights in Keras 3; it holds metrics' in remark


def test_a_function_around_compile_is_followed_with_each_call(read):
    source = read("""
def train(classes, loss='mse', **more):
    net = keras.Sequential([layers.Conv2D(classes, 1, activation='sigmoid')])
    net.compile('adam', loss=loss, **more)
    return net
train(2)
train(5, loss=losses.Dice(axis=(1, 2)), metrics=['acc'])
""")
    assert items(source) == [(1, 'keras', 'mean_squared_error'), (1, 'keras', 'Dice')]
    assert [output.context.channels for output in source.outputs] == [2, 5]
    assert source.outputs[1].losses[0].arguments == {'axis': [1, 2]}


def test_a_function_that_nothing_calls_is_followed_with_its_defaults(read):
    source = read("""
class Trainer:
    def prepare(self, net, loss='bce', classes=4):
        net.compile('adam', loss=loss)
""")
    assert items(source) == [(1, 'keras', 'binary_crossentropy')]


@pytest.mark.parametrize(
    ('model', 'facts'),
    [
        ("layers.Conv2D(4, 1, activation='softmax')", ('softmax', 4)),
        ('layers.Conv2D(filters=4, kernel_size=1, activation=tf.nn.sigmoid)', ('sigmoid', 4)),
        ('layers.Conv2D(4, 1), layers.Softmax()', ('softmax', 4)),
        (
            "layers.Conv2D(4, 1), layers.UpSampling2D(2), layers.Activation('sigmoid'), layers.Resizing(9, 9)",
            ('sigmoid', 4),
        ),
        ('layers.Conv2D(4, 1), layers.Dropout(0.5)', ('logits', 4)),
        ("layers.Conv2D(4, 1, activation='relu')", (None, 4)),
        ('layers.Conv2D(4, 1), MyLayer()', (None, None)),
        ("layers.Conv2D(n, 1, activation='softmax')", ('softmax', None)),
    ],
)
def test_the_last_layer(read, model, facts):
    source = read(
        f"net = keras.Sequential([{model}])\nnet.compile('adam', 'mse')", head=HEAD.replace("'softmax'", "'relu'")
    )
    context = source.outputs[0].context
    assert (context.activation, context.channels) == facts


@pytest.mark.parametrize(
    ('call', 'facts'),
    [
        ("sm.Unet('resnet34')", ('sigmoid', 1)),
        ("sm.Unet('resnet34', (None, None, 3), 5, 'softmax')", ('softmax', 5)),
        ("sm.Linknet(classes=3, activation='linear')", ('logits', 3)),
        ('sm.Unet(**settings)', (None, None)),
        ('tf.keras.utils.multi_gpu_model(sm.PSPNet(classes=2), 2)', ('sigmoid', 2)),
    ],
)
def test_networks_of_libraries(read, call, facts):
    source = read(f"net = {call}\nnet.compile('adam', 'mse')", head=HEAD.replace("'softmax'", "'relu'"))
    context = source.outputs[0].context
    assert (context.activation, context.channels) == facts


def test_a_network_that_a_function_builds(read):
    source = read("""
def block(x, n):
    return layers.Activation('relu')(layers.Conv2D(n, 3)(x))
def head(x, n):
    x = layers.Conv2D(n, 1)(x)
    return layers.Activation('softmax' if n > 1 else 'sigmoid', name='mask')(x)
def unet(n=1):
    x = i = keras.Input((64, 64, 3))
    for width in (8, 16):
        x = block(x, width)
    return keras.Model(i, head(x, n))
a = unet(); a.compile('adam', 'mse')
b = unet(6); b.compile('adam', 'mse')
""")
    facts = [(output.context.activation, output.context.channels) for output in source.outputs]
    assert facts == [('sigmoid', 1), ('softmax', 6)]


def test_a_network_of_a_class(read):
    source = read("""
class Net(keras.Model):
    def __init__(self, n):
        super().__init__()
        self.features = layers.Conv2D(8, 3)
        self.last = layers.Conv2D(n, 1, activation='softmax')
    def call(self, x):
        return self.last(self.features(x))
net = Net(7)
net.compile('adam', 'mse')
""")
    assert (source.outputs[0].context.activation, source.outputs[0].context.channels) == ('softmax', 7)


def test_a_network_and_its_compile_in_one_class(read):
    source = read("""
class Trainer:
    def __init__(self, classes=3, loss='mse'):
        self.classes = classes
        self.loss = loss
        self.model = self.build()
    def build(self):
        x = keras.Input((64, 64, 3))
        return keras.Model(x, layers.Conv2D(self.classes, 1, activation='softmax')(x))
    def compile(self, rate=1e-3):
        self.model.compile(keras.optimizers.Adam(rate), loss=self.loss, metrics=[keras.metrics.MeanIoU(self.classes)])
trainer = Trainer(4, loss=losses.CategoricalCrossentropy(label_smoothing=0.1))
trainer.compile()
""")
    ((item,),) = [output.losses for output in source.outputs]
    assert (item.name, item.arguments) == ('CategoricalCrossentropy', {'label_smoothing': 0.1})
    assert (source.outputs[0].context.activation, source.outputs[0].context.channels) == ('softmax', 4)
    assert [item.arguments for item, _ in source.metrics] == [{'0': 4}]


@pytest.mark.parametrize(
    ('body', 'found'),
    [
        ('self.net.compile(optimizer, loss=2 * loss)', [(2, 'segmentation_models', 'DiceLoss')]),
        ('super().compile(optimizer=optimizer)', [(1, 'segmentation_models', 'DiceLoss')]),
    ],
)
def test_a_compile_of_its_own(read, body, found):
    source = read(f"""
class Trainer(keras.Model):
    def __init__(self):
        self.net = model
    def compile(self, optimizer, loss):
        {body}
trainer = Trainer()
trainer.compile('adam', loss=sm.losses.DiceLoss())
""")
    assert items(source) == found


def test_metrics_of_pytorch_that_are_functions(read):
    source = read(
        """
import segmentation_models_pytorch as smp
tp, fp, fn, tn = smp.metrics.get_stats(logits > 0, mask.long(), mode='binary')
iou = smp.metrics.iou_score(tp, fp, fn, tn, reduction='micro')
loss = smp.losses.DiceLoss('binary')
""",
        head='',
    )
    assert [(item.name, item.arguments) for item, _ in source.metrics] == [('iou_score', {'reduction': 'micro'})]
    assert items(source) == [(1, 'smp', 'DiceLoss')] and not source.unread


def test_labels_and_classes(read):
    text = "y = keras.utils.to_categorical(y, 8)\nmodel = load()\nmodel.compile('adam', 'mse')"
    context = read(text, head=HEAD.replace("'softmax'", "'relu'")).outputs[0].context
    assert (context.labels, context.num_classes) == ('one_hot', 8)
    text = (
        "N_CLASSES = 9\nmodel = load()\nmodel.compile('adam', losses.SparseCategoricalCrossentropy(from_logits=True))"
    )
    context = read(text, head=HEAD.replace("'softmax'", "'relu'")).outputs[0].context
    assert (context.labels, context.num_classes, context.activation) == ('ids', 9, 'logits')


def test_swapped_labels_and_predictions_are_named(read):
    source = read("""
def both(y_true, y_pred):
    return losses.binary_crossentropy(y_pred, y_true) + losses.dice(y_true, y_pred)
model.compile('adam', both)
""")
    assert any('takes the labels first, here the predictions stand first' in remark for remark in source.remarks)


@pytest.mark.parametrize(
    'body',
    [
        'return losses.dice(t, p) * losses.binary_crossentropy(t, p)',
        'return ops.sum(losses.binary_crossentropy(t, p))',
        'return ops.log(losses.dice(t, p))',
        'return losses.dice(t, 1 - p)',
        'return losses.dice(t[..., 1:], p[..., 1:])',
        'return losses.dice(t, ops.argmax(p))',
        'return losses.categorical_crossentropy(keras.backend.flatten(t), keras.backend.flatten(p))',
        'if ops.sum(t) > 0:\n        return losses.dice(t, p)\n    return 0',
    ],
)
def test_what_is_no_sum_of_losses_is_not_taken_for_one(read, body):
    (output,) = read(f'def own(t, p):\n    {body}\nmodel.compile("adam", own)').outputs
    assert 'terms' not in output.losses[0].arguments


def test_a_pointwise_loss_of_reshaped_tensors_is_the_same(read):
    (output,) = read("""
def own(t, p):
    t, p = tf.cast(keras.backend.flatten(t), 'float32'), keras.backend.flatten(p)
    return tf.reduce_mean(losses.binary_crossentropy(t, p)) / 4
model.compile("adam", own)
""").outputs
    ((term,), constant) = output.losses[0].arguments['terms'], output.losses[0].arguments.get('constant', 0)
    assert (term.name, term.weight, constant) == ('binary_crossentropy', 0.25, 0)


def test_a_function_that_makes_what_is_not_known_is_not_taken_for_a_loss(read):
    source = read("""
def choose(name):
    if name == 'dice':
        return losses.Dice()
    return 'mse'
def nothing():
    pass
model.compile('adam', choose('dice'))
model.compile('adam', choose(settings))
model.compile('adam', nothing())
""")
    assert items(source) == [(1, 'keras', 'Dice')]
    assert [u.reason.partition(':')[0] for u in source.unread] == [
        'what choose returns is not known',
        'nothing returns no loss or metric',
    ]


def test_parts_of_a_loop_that_are_no_losses_are_named(read):
    source = read("""
ce = losses.CategoricalCrossentropy()
for x, y in data:
    with tf.GradientTape() as tape:
        p = model(x)
        loss = ce(y, p) + rate * losses.dice(y, p, axis=[1, 2]) + regulariser(model)
    tape.gradient(loss, model.trainable_variables)
""")
    (output,) = source.outputs
    assert [item.name for item in output.losses] == ['CategoricalCrossentropy', 'dice']
    assert isinstance(output.losses[1].weight, Unread)
    assert output.losses[1].arguments == {'axis': [1, 2]}
    assert [(u.reason, u.text) for u in source.unread] == [
        ('a part of this loss is none that is known', 'regulariser(model)')
    ]


def test_a_gate_inside_of_a_network_is_not_its_end(read):
    source = read(
        """
def gate(x):
    return layers.Conv2D(1, 1, activation='sigmoid')(x)
def last(x):
    return layers.Conv2D(5, 1)(x)
net = build(gate, last)
net.compile('adam', 'mse')
""",
        head=HEAD.replace("'softmax'", "'relu'"),
    )
    assert (source.outputs[0].context.activation, source.outputs[0].context.channels) == (None, None)


def test_a_sum_of_losses_of_keras_is_remarked(read):
    assert any(
        'losses of Keras have no +' in remark
        for remark in read('model.compile("adam", losses.Dice() + losses.Dice())').remarks
    )
    assert not read('model.compile("adam", sm.losses.DiceLoss() + sm.losses.DiceLoss())').remarks


@pytest.mark.parametrize(
    'text',
    [
        "import re\nre.compile('a', flags=2)",
        "import torch\nnet = torch.compile(net, mode='max')",
        "compile('1', 'f', 'eval')",
        'import numba\nnumba.compile(loss=1)',
    ],
)
def test_other_compiles_are_none(read, text):
    assert not read(text).outputs


def test_values_come_from_the_source_alone(read, tmp_path):
    """An environment variable, a file and a clock are not asked."""
    source = read("import os\nmodel.compile('adam', loss=os.environ.get('LOSS', 'mse'), metrics=[open('x').read()])")
    assert not source.outputs
    assert source.unread


def test_a_module_outside_of_the_folder_is_not_read(tmp_path):
    (tmp_path / 'outside.py').write_text('def dice_loss(t, p):\n    return 1\n')
    inner = tmp_path / 'project'
    inner.mkdir()
    (inner / 'script.py').write_text(
        'import keras\nfrom linked import dice_loss\nkeras.Sequential().compile("adam", dice_loss)'
    )
    (inner / 'linked.py').symlink_to(tmp_path / 'outside.py')
    source = read_source(inner / 'script.py')
    assert source.files == (str(inner / 'script.py'),)
    assert 'source' not in source.outputs[0].losses[0].arguments


def test_modules_in_folders(tmp_path):
    (tmp_path / 'net').mkdir()
    (tmp_path / 'net' / '__init__.py').write_text('')
    (tmp_path / 'net' / 'losses.py').write_text('import keras\ntotal = keras.losses.Dice()\n')
    (tmp_path / 'net' / 'model.py').write_text(
        "import keras\ndef unet(n):\n    return keras.Sequential([keras.layers.Conv2D(n, 1, activation='softmax')])\n"
    )
    (tmp_path / 'train.py').write_text(
        'from net.losses import total\nfrom net import model\nunet = model.unet(3)\nunet.compile("adam", total)\nimport keras'
    )
    source = read_source(tmp_path / 'train.py')
    assert items(source) == [(1, 'keras', 'Dice')]
    assert (source.outputs[0].context.activation, source.outputs[0].context.channels) == ('softmax', 3)


@pytest.mark.parametrize(
    ('script', 'text', 'read'),
    [
        ('model/train.py', 'from model.own import total', True),
        ('model/train.py', 'from other.own import total', False),
        ('model/train.py', 'from .own import total', True),
        ('model/train.py', 'from ..own import total', False),
        ('train.py', 'from model.own import total', True),
        ('train.py', 'from own import total', False),
        ('model/train.py', 'from keras.own import total', False),
        ('model/train.py', 'from own import *', True),
    ],
)
def test_which_file_a_module_is(tmp_path, script, text, read):
    (tmp_path / 'model').mkdir()
    (tmp_path / 'model' / 'own.py').write_text('import keras\ntotal = keras.losses.Dice()\n')
    (tmp_path / script).write_text(f'{text}\nimport keras\nkeras.Sequential().compile("adam", total)\n')
    source = read_source(tmp_path / script)
    assert (items(source) == [(1, 'keras', 'Dice')]) is read
    assert bool(source.unread) is not read


def test_a_file_named_like_a_part_of_keras_is_not_taken_for_it(tmp_path):
    (tmp_path / 'losses.py').write_text('def Dice():\n    return "mse"\n')
    (tmp_path / 'script.py').write_text('import keras\nkeras.Sequential().compile("adam", keras.losses.Dice())\n')
    source = read_source(tmp_path / 'script.py')
    assert items(source) == [(1, 'keras', 'Dice')]
    assert source.files == (str(tmp_path / 'script.py'),)


def test_loops_over_images_take_no_time(read):
    source = read(
        f"""
for n in range(2000):
    for m in range(2000):
        {'; '.join(f'x{k} = n * {k} + m' for k in range(20))}
model.compile('adam', 'mse')
"""
        * 3
    )
    assert items(source) == [(1, 'keras', 'mean_squared_error')] * 3
    assert not source.unread


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ("model.add(layers.Softmax(axis=1))\nmodel.compile('adam', 'bce')", 'channels first'),
        ("keras.backend.set_image_data_format('channels_first')\nmodel.compile('adam', 'bce')", 'channels first'),
        ("model.add(layers.Conv2D(2, 1, data_format='channels_first'))\nmodel.compile('adam', 'bce')", 'channels first'),
        ("model.add_loss(mystery(model))\nmodel.compile('adam', 'bce')", 'add_loss adds to what compile has'),
        ("model.add(layers.Conv2D(2, 1, activation='relu'))\nmodel.compile('adam', 'bce')", "ends in 'relu'"),
        ("model.compile('adam', 'bce')\nmodel.fit(x, y, sample_weight=w)", 'Keras divides the weighted sum'),
    ],
)  # fmt: skip
def test_what_makes_the_loss_another_is_named(read, text, reason):
    source = read(text)
    assert [unread for unread in source.unread if reason in unread.reason and unread.place.line], source.unread
    plain = read("model.add(layers.Softmax())\nmodel.compile('adam', 'bce')\nmodel.fit(x, y)")
    assert not plain.unread
