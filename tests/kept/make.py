"""Writes what a version leaves behind, for ``test_kept.py``: ``python -m tests.kept.make keras|torch|evaluate``.

``keras`` under KERAS_BACKEND=jax, for a model saved on PyTorch names an optimizer that is there alone. Run once for a
version and not again: what users have must stay readable.
"""

import json
import pathlib
import sys
import tempfile
import zipfile
import zlib

import numpy as np

HERE = pathlib.Path(__file__).parent / '0.1.0'
CLASSES = 3
SHAPE = (2, 12, 12)


def keras_inputs():
    """Pictures (2, 12, 12, 3) and class ids with an ignored corner."""
    rng = np.random.default_rng(7)
    ids = rng.integers(0, CLASSES, SHAPE)
    ids[:, :2, :2] = 255
    return rng.normal(0, 1, (*SHAPE, 3)).astype('float32'), ids


def labels_for(loss, ids):
    """Ids for several channels, 0 and 1 for one; ignored where they are."""
    return np.where(ids == 255, 255, ids > 0) if loss.channels == ('one',) else ids


def losses_model():
    """One output and one loss for each example of each loss."""
    import keras

    import keras_plugin
    from shared_spec import LOSSES

    inputs = keras.Input((12, 12, 3))
    logits_of = {channels: keras.layers.Conv2D(channels, 1)(inputs) for channels in (1, CLASSES)}
    outputs, losses = {}, {}
    for name, spec in LOSSES.items():
        for number, example in enumerate(spec.examples.values()):
            if ('many' not in example.channels and spec.channels != ('one',)) or not spec.is_plain():
                continue
            params = {k: v for k, v in example.params.items() if k not in ('distance_matrix', 'classes', 'losses')}
            if example.class_weight:
                params[example.weights] = [0.5, 1.0, 2.0]
            key = f'{name}_{number}'
            logits = logits_of[1 if spec.channels == ('one',) else CLASSES]
            if name == 'WeightedSumLoss':
                members = [keras_plugin.losses.SoftDiceLoss(from_logits=True, ignore_class=255)]
                members.append(keras_plugin.losses.WeightedCrossEntropyLoss(from_logits=True, ignore_class=255))
                losses[key] = keras_plugin.losses.WeightedSumLoss(losses=members, weights=[0.25, 0.75])
            else:
                arguments = spec(**params, ignore_index=255).keras_arguments()
                if arguments.get('learn_nu'):
                    layer = keras_plugin.layers.DegreesOfFreedom(name=f'{key}_nu')
                    logits, arguments['layer'] = layer(logits), layer
                losses[key] = getattr(keras_plugin.losses, name)(**arguments)
            outputs[key] = keras.layers.Activation('linear', name=key)(logits)
    model = keras.Model(inputs, outputs)
    model.compile('sgd', loss=losses, jit_compile=False)
    return model


def metrics_model():
    import keras

    from keras_plugin import metrics

    common = dict(num_classes=CLASSES, from_logits=True, ignore_class=255)
    kinds = ('PixelAccuracy', 'MeanAccuracy', 'MeanIoU', 'MeanDice', 'MeanFscore', 'MeanPrecision', 'BoundaryIoU')
    found = [getattr(metrics, kind)(**common, name=kind.lower()) for kind in kinds]
    found += [metrics.MeanIoU(**common, level='C', q=5, max_images=10, name='worst')]
    found += [metrics.CalibrationError(metric=kind, **common, name=kind.lower()) for kind in ('ECE', 'SCE')]
    found += [metrics.SegmentationReport(**common, max_images=10, calibration=True, name='report')]
    inputs = keras.Input((12, 12, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(CLASSES, 1)(inputs))
    model.compile('sgd', loss='mse', metrics=found, jit_compile=False)
    return model


def values_of_losses(model):
    """Name -> the loss of the model's own output on ``keras_inputs``."""
    from keras import ops

    from shared_spec import LOSSES

    pictures, ids = keras_inputs()
    outputs, found = model(pictures), {}
    for key, loss in model.loss.items():
        labels = labels_for(LOSSES[key.rsplit('_', 1)[0]], ids)
        found[key] = float(ops.convert_to_numpy(loss(labels.astype('int32'), outputs[key])))
    return found


def values_of_metrics(model):
    """Name -> result of the compiled metrics on ``keras_inputs``."""
    from keras import ops

    pictures, ids = keras_inputs()
    outputs, found = model(pictures), {}
    for metric in model._compile_metrics._user_metrics:
        metric.update_state(ids.astype('int32'), outputs)
        result = metric.result()
        for name, value in result.items() if isinstance(result, dict) else [(metric.name, result)]:
            found[f'{metric.name}/{name}'] = float(ops.convert_to_numpy(value))
    return found


def compress(path):
    """The same members, deflated: Keras only stores them, and its weights are mostly padding."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def keras_files():
    found = {}
    for kind, model, values in (
        ('losses', losses_model(), values_of_losses),
        ('metrics', metrics_model(), values_of_metrics),
    ):
        model.save(HERE / f'{kind}.keras')
        compress(HERE / f'{kind}.keras')
        found[kind] = values(model)
    (HERE / 'keras.json').write_text(json.dumps(found, indent=1))


def torch_files():
    """A checkpoint of RobustT, whose log_nu training has changed."""
    import torch
    from mmseg.registry import MODELS

    import mmseg_plugin  # noqa: F401

    loss = MODELS.build(dict(type='RobustTLoss', nu=2.5))
    with torch.no_grad():
        loss.log_nu.add_(0.25)
    torch.save(loss.state_dict(), HERE / 'robust_t.pth')


def maps():
    """Three images: probabilities, their labels, the ground truth."""
    rng = np.random.default_rng(11)
    target = rng.integers(0, CLASSES, (3, 12, 15)).astype('uint8')
    target[:, 0] = 255
    raw = rng.random((3, CLASSES, 12, 15)).astype('float32') + 0.6 * (
        target[:, None] == np.arange(CLASSES)[:, None, None]
    )
    return (raw / raw.sum(1, keepdims=True)).astype('float32'), target


def evaluate_files():
    from segparity.evaluate.journal import HEAD, MARK, pack
    from segparity.evaluate.output import as_json, write_per_image
    from segparity.evaluate.pairs import Pair
    from segparity.evaluate.settings import Settings
    from segparity.evaluate.state_file import write_state
    from segparity.evaluate.totals import Totals
    from segparity.evaluate.work import measure

    settings = Settings(classes=('sky', 'road', 'car'), boundary=True, distances=True, calibration=True)
    totals, probs_targets = Totals(settings), maps()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for k, (prob, target) in enumerate(zip(*probs_targets)):
            np.savez(folder / f'{k}.npz', prob=prob)
            np.save(folder / f'{k}.npy', target)
            pair = Pair(f'town/{k}', str(folder / f'{k}.npz'), str(folder / f'{k}.npy'))
            row = measure(settings, settings.specs(), pair)
            totals.add(pair.image, (f'/data/pred/town/{k}.npz', f'/data/gt/town/{k}.npy'), row)
    write_state(HERE / 'state.npz', totals, [('town/9', 'has no prediction')])
    write_per_image(HERE / 'per_image.csv', totals)
    write_per_image(HERE / 'per_image.parquet', totals)
    (HERE / 'evaluate.json').write_text(as_json(totals, [('town/9', 'has no prediction')]))
    with open(HERE / 'run.journal', 'wb') as stream:
        payloads = [json.dumps({'format': 1, 'key': settings.key()}).encode()]
        payloads += [pack(image, [['PRED', 0, 0], ['GT', 0, 0]], totals.rows[image]) for image in totals.images[:2]]
        stream.writelines(HEAD.pack(MARK, len(payload), zlib.crc32(payload)) + payload for payload in payloads)


if __name__ == '__main__':
    HERE.mkdir(exist_ok=True)
    dict(keras=keras_files, torch=torch_files, evaluate=evaluate_files)[sys.argv[1]]()
