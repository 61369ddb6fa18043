"""The notes that a source calls for; no framework runs."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segparity.migrate.moving import NOTES, PITFALLS, Argument, Call, Key, SeenCall, notes_for
from tests.moving.page import PAGE
from tests.packaging.page_code import ROOT

ALL = {**PITFALLS, **NOTES}
CONFIG = {  # of MMSegmentation 1.x: U-Net of a data set whose masks are small
    'model.type': 'EncoderDecoder',
    'model.data_preprocessor.mean': [123.675, 116.28, 103.53],
    'model.data_preprocessor.bgr_to_rgb': True,
    'model.pretrained': None,
    'model.backbone.type': 'UNet',
    'model.backbone.norm_cfg.type': 'SyncBN',
    'model.backbone.upsample_cfg.type': 'InterpConv',
    'model.decode_head.0.align_corners': False,
    'model.decode_head.0.dropout_ratio': 0.1,
    'model.decode_head.0.num_classes': 19,
    'model.decode_head.0.loss_decode.0.type': 'DiceLoss',
    'train_dataloader.dataset.reduce_zero_label': False,
    'optim_wrapper.type': 'OptimWrapper',
    'optim_wrapper.optimizer.type': 'SGD',
    'optim_wrapper.optimizer.weight_decay': 0.0005,
    'param_scheduler.0.type': 'PolyLR',
}
SCRIPT = [  # of Keras
    SeenCall('/', {'1': 255.0}),
    SeenCall('Conv2D', {'0': 64, '1': 3, 'activation': 'relu', 'padding': 'same', 'kernel_initializer': 'he_normal'}),
    SeenCall('MaxPooling2D', {'pool_size': (2, 2)}),
    SeenCall('UpSampling2D', {'size': (2, 2)}),
    SeenCall('Dropout', {'0': 0.5}),
    SeenCall('Conv2D', {'0': 1, '1': 1, 'activation': 'sigmoid'}),
    SeenCall('compile', {'optimizer': 'adam', 'loss': 'binary_crossentropy', 'metrics': ['accuracy', object()]}),
]


def keys_of(calls=(), keys=()):
    found = notes_for(calls, dict(keys))
    assert all(any(note is known for known in ALL.values()) for note in found)
    return [key for key, note in {**NOTES, **PITFALLS}.items() if note in found]


def test_a_config_of_mmsegmentation():
    assert keys_of(keys=CONFIG) == [
        'batch_norm', 'padding', 'resize', 'initialisation', 'dropout', 'normalisation', 'weight_decay', 'momentum',
        'schedule', 'data_parallel', 'logits_resized', 'batch_or_image',
    ]  # fmt: skip


def test_a_script_of_keras():
    assert keys_of(SCRIPT) == [
        'resize', 'initialisation', 'dropout', 'normalisation', 'momentum', 'masks_of_255',
    ]  # fmt: skip


def test_nothing_seen_calls_for_nothing():
    assert notes_for([], {}) == []
    assert notes_for([SeenCall('Input', {'0': (32, 32, 3)})], {'model.type': 'EncoderDecoder'}) == []


def test_each_note_comes_once_and_in_order():
    found = notes_for(
        [SeenCall('BatchNormalization')] * 3 + [SeenCall('Dropout')], {'reduce_zero_label': True, 'decode_head.x': 1}
    )
    assert [note.title for note in found] == [
        'BatchNorm', 'Dropout', 'Labels moved by reduce_zero_label', 'Where the loss is taken',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ('note', 'shown', 'not_shown'),
    [
        ('batch_norm', {'norm_cfg.type': 'BN'}, {'norm_cfg.type': 'LN'}),
        ('batch_norm', SeenCall('BatchNormalization', {}), SeenCall('LayerNormalization', {})),
        ('layer_norm', {'backbone.norm_cfg': {'type': 'LN', 'eps': 1e-6}}, {'backbone.norm_cfg': {'type': 'BN'}}),
        ('padding', SeenCall('Conv2D', {'strides': 2, 'padding': 'same'}), SeenCall('Conv2D', {'strides': 1, 'padding': 'same'})),
        ('padding', SeenCall('Conv2D', {'0': 8, '2': [2, 2], 'padding': 'same'}), SeenCall('Conv2D', {'strides': 2})),
        ('padding', SeenCall('Conv2d', {'stride': (2, 2)}), SeenCall('Conv2d', {'padding': 1})),
        ('resize', {'model.decode_head.align_corners': True}, {'model.decode_head.align': True}),
        ('resize', SeenCall('UpSampling2D', {'interpolation': 'bilinear'}), SeenCall('ZeroPadding2D', {})),
        ('transposed_convolution', SeenCall('Conv2DTranspose', {'0': 8}), SeenCall('Conv2D', {'0': 8})),
        ('flattening', SeenCall('Flatten'), SeenCall('Reshape')),
        ('gelu', SeenCall('Dense', {'0': 8, 'activation': 'gelu'}), SeenCall('Dense', {'0': 8, 'activation': 'relu'})),
        ('leaky_relu', SeenCall('LeakyReLU', {'0': 0.1}), SeenCall('ReLU')),
        ('normalisation', SeenCall('/', {'0': object(), '1': 255}), SeenCall('/', {'0': 255, '1': 2})),
        ('normalisation', SeenCall('Rescaling', {'0': 1 / 255}), SeenCall('RandomFlip')),
        ('normalisation', {'img_norm_cfg.mean.0': 123.675}, {'norm_cfg.type': 'BN'}),
        ('labels', {'data.train.reduce_zero_label': True}, {'data.train.reduce_zero_label': False}),
        ('labels', {'reduce_zero_label': True}, {'reduce_zero_label': 1}),
        ('one_hot', SeenCall('to_categorical', {'num_classes': 4}), SeenCall('SparseCategoricalCrossentropy')),
        ('weight_decay', {'optimizer.weight_decay': 1e-4}, {'optimizer.lr': 1e-4}),
        ('weight_decay', SeenCall('SGD', {'weight_decay': 1e-4}), SeenCall('SGD', {'learning_rate': 1e-4})),
        ('weight_decay', SeenCall('AdamW'), SeenCall('Adam')),
        ('momentum', SeenCall('SGD', {'momentum': 0.9}), SeenCall('SGD', {'nesterov': False})),
        ('clipping', SeenCall('Adam', {'clipnorm': 1.0}), SeenCall('Adam', {'learning_rate': 1.0})),
        ('clipping', {'optim_wrapper.clip_grad.max_norm': 1}, {'optim_wrapper.type': 'OptimWrapper'}),
        ('clipping', {'optim_wrapper.clip_grad': {'max_norm': 1}}, {'optim_wrapper.clip_grad': None}),
        ('schedule', {'lr_config.policy': 'poly'}, {'lr': 0.01}),
        ('schedule', SeenCall('PolynomialDecay', {'0': 0.1}), SeenCall('Adam', {'0': 0.1})),
        ('mixed_precision', {'optim_wrapper.type': 'AmpOptimWrapper'}, {'optim_wrapper.type': 'OptimWrapper'}),
        ('mixed_precision', {'fp16': {}}, {'fp32': {}}),
        ('mixed_precision', SeenCall('set_global_policy', {'0': 'mixed_float16'}), SeenCall('set_floatx', {'0': 'float32'})),
        ('data_parallel', SeenCall('MirroredStrategy'), SeenCall('Model')),
        ('dropout', SeenCall('Dropout', {'0': 0.5}), SeenCall('Dense', {'0': 5})),
        ('initialisation', SeenCall('Conv2D', {'kernel_initializer': 'he_normal'}), SeenCall('Conv2D')),
        ('logits_resized', {'model.decode_head.type': 'FCNHead'}, {'model.backbone.type': 'ResNet'}),
        ('masks_of_255', {'model.decode_head.num_classes': 2}, {'model.decode_head.num_classes': 19}),
        ('masks_of_255', SeenCall('Conv2D', {'0': 1}), SeenCall('Conv2D', {'0': 19, '1': 1})),
        ('one_channel', SeenCall('Conv2D', {'filters': 1, 'activation': 'softmax'}), SeenCall('Conv2D', {'filters': 1, 'activation': 'sigmoid'})),
        ('one_channel', {'num_classes': 1}, {'num_classes': 2}),
        ('one_channel', {'num_classes': 1}, {'num_classes': True}),
        ('reduce_zero_label', {'reduce_zero_label': True}, {}),
        ('ignored_label', {'val_evaluator.0.ignore_index': 0}, {'val_evaluator.0.type': 'IoUMetric'}),
        ('ignored_label', SeenCall('SparseCategoricalCrossentropy', {'ignore_class': 255}), SeenCall('SparseCategoricalCrossentropy')),
        ('class_order', {'train_dataloader.dataset.metainfo.classes.0': 'road'}, {'train_dataloader.dataset.type': 'X'}),
        ('batch_or_image', SeenCall('DiceLoss'), SeenCall('CrossEntropyLoss')),
        ('batch_or_image', SeenCall('compile', {'loss': 'dice'}), SeenCall('compile', {'loss': 'mse'})),
        ('mean_iou_of_probabilities', SeenCall('MeanIoU', {'num_classes': 2}), SeenCall('MeanIoU', {'0': 2, 'sparse_y_pred': False})),
        ('mean_iou_of_probabilities', SeenCall('compile', {'metrics': ['accuracy', 'MeanIoU']}), SeenCall('MeanIoU', {'0': 2, 'from_logits': True})),
        ('scores_of_batches', SeenCall('IOUScore', {'threshold': 0.5}), SeenCall('Precision')),
        ('masks_resized', SeenCall('resize', {'1': (8, 8)}), SeenCall('resize', {'1': (8, 8), 'method': 'nearest'})),
    ],
)  # fmt: skip
def test_evidence(note, shown, not_shown):
    def seen(what):
        return keys_of([what]) if isinstance(what, SeenCall) else keys_of(keys=what)

    assert note in seen(shown)
    assert note not in seen(not_shown)


@pytest.mark.parametrize('name', ALL)
def test_every_piece_of_evidence_suffices(name):
    for evidence in ALL[name].evidence:
        if isinstance(evidence, Key):
            value = evidence.among[0] if evidence.among else 'anything'
            path = f'model.0.{evidence.path}' + ('' if evidence.last else '.0.more')
            assert ALL[name] in notes_for([], {path: value}), evidence
            assert ALL[name] in notes_for([], {'model': [nested(evidence.path.split('.'), value)]}), evidence
        else:
            given = {a.names[0]: a.among[0] if a.among else object() for a in evidence.arguments if not a.absent}
            for called in evidence.names:
                assert ALL[name] in notes_for([SeenCall(called, given)], {}), evidence


def nested(parts, value):
    return {parts[0]: nested(parts[1:], value) if parts[1:] else value}


def test_a_note_is_one_sentence_about_a_section_of_the_page():
    headings = [line.removeprefix('## ') for line in PAGE.read_text('utf-8').splitlines() if line.startswith('## ')]
    anchors = {heading.lower().replace(' ', '-') for heading in headings}
    for name, note in ALL.items():
        assert note.anchor in anchors, name
        assert note.sentence.endswith('.') and '. ' not in note.sentence and len(note.sentence) < 260, name
        assert note.evidence and len(note.title) < 50, name
    assert (
        len({note.title for note in ALL.values()})
        == len({note.sentence for note in ALL.values()})
        == len(set(map(id, ALL.values())))
    )


def test_arguments():
    assert Argument(('a', '0'), (1,)).holds({'0': [3, 1]}) and not Argument(('a', '0'), (1,)).holds({'a': True})
    assert (
        not Argument(('a',)).holds({}) and Argument(('a',)).holds({'a': 0}) and not Argument(('a',)).holds({'a': None})
    )
    assert Argument(('a',), absent=True).holds({'b': 1}) and not Argument(('a',), absent=True).holds({'a': 1})
    assert Argument(('a',), (1,), default=True).holds({}) and not Argument(('a',), (1,), default=True).holds({'a': 2})
    assert not Argument(('a',), (1,)).holds({'a': object()}) and not Call(('f',)).arguments


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.builds(object),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
words = st.sampled_from(['norm_cfg', 'type', 'decode_head', '0', '', 'optimizer', 'fp16']) | st.text(max_size=5)


@given(
    st.lists(st.builds(SeenCall, words | st.just('Conv2D'), st.dictionaries(words, values, max_size=3)), max_size=4),
    st.dictionaries(st.lists(words, max_size=4).map('.'.join), values, max_size=4),
)
def test_any_source_gets_its_notes(calls, keys):
    found = notes_for(calls, keys)
    assert len(found) == len(set(map(id, found))) and found == notes_for(iter(calls), keys)


def test_values_that_are_nested_without_end():
    keys = {}
    keys['a'] = [keys]
    assert notes_for([], keys) == []


def test_notes_are_light():
    done = subprocess.run(
        [
            sys.executable,
            '-c',
            'import sys\nold = set(sys.modules)\nimport segparity.migrate.moving\nprint(*set(sys.modules) - old)',
        ],
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {'numpy', 'torch', 'keras', 'rich', 'shared_spec'} & set(done.stdout.split())
