"""What is no number, no class, no weight or no probability never becomes a number; see ``keras_worker.py``."""

import contextlib
import functools
import warnings

import keras
import numpy as np
from keras import ops

from keras_plugin import metrics as km
from keras_plugin.metrics.top_class import top_class
from tests.metrics.keras_host_cases import identity
from tests.metrics.keras_run import BACKEND, Run, assert_wrong_batch, jit, refuses

NAN, INF = float('nan'), float('inf')
GIVEN = dict(ignore_class=255, from_logits=True)


@functools.cache
def every_metric():
    """One metric of each kind, compiled once: name -> Run over batches of one picture of 3 x 4 pixels, 3 classes."""
    metrics = [
        km.PixelAccuracy(3, **GIVEN),
        km.MeanIoU(3, 'I', **GIVEN),
        km.MeanDice(3, 'C', 50, max_images=9, **GIVEN),
        km.BoundaryIoU(3, **GIVEN),
        km.CalibrationError(3, **GIVEN),
        km.SegmentationReport(3, q=(), metrics=('mAcc',), calibration=True, **GIVEN),
    ]
    if BACKEND == 'jax':  # each is compiled, and what they share is seen with two
        metrics = [metrics[1], metrics[5]]
    return {type(metric).__name__: Run(metric) for metric in metrics}


def picture(seed=0):
    """Labels of every class and one ignored pixel, weights with one 0, logits."""
    rng = np.random.default_rng(seed)
    labels = np.arange(12).reshape(1, 3, 4) % 3
    labels[0, 2, 3] = 255
    weights = np.ones((1, 3, 4), 'float32')
    weights[0, 2, 2] = 0
    return labels.astype('float32'), rng.normal(size=(1, 3, 4, 3)).astype('float32'), weights


def fill(x, where, value):
    x = x.copy()
    x[(0, *where)] = value
    return x


def case_wrong_pixels_make_every_metric_nan():
    y, z, w = picture()
    wrong = [
        (
            'predictions must be numbers, got NaN or infinity in 12 pixels'.replace('12', '10'),
            (y, np.full_like(z, NAN), w),
        ),
        ('predictions must be numbers, got NaN or infinity in 1 pixel', (y, fill(z, (0, 0, 1), INF), w)),
        ('in 1 pixel', (y, fill(z, (1, 1), -INF), w)),
        ('labels must be class ids from 0 to 2, got others in 1 pixel', (fill(y, (0, 0), 7), z, w)),
        ('(1 fractional or NaN: resize label maps to the nearest neighbour)', (fill(y, (0, 0), 0.5), z, w)),
        ('(1 fractional or NaN', (fill(y, (0, 0), NAN), z, w)),
        ('labels start at 0, so subtract 1 from labels 1 to 3', (np.where(y == 255, y, y + 1), z, w)),
        ('weights must be finite and >= 0, got others in 1 pixel', (y, z, fill(w, (0, 0), NAN))),
        ('weights must be finite and >= 0', (y, z, fill(w, (0, 0), -1))),
        ('weights must be finite and >= 0', (y, z, fill(w, (0, 0), INF))),
    ]
    for name, run in every_metric().items():
        run.metric.reset_state()
        run.update(y, z, w)
        want = run.result()
        assert np.isfinite(list(want.values()) if isinstance(want, dict) else want).all(), name
        for sentence, batch in wrong:
            run.metric.reset_state()
            if 'predictions' in sentence or sentence == 'in 1 pixel':
                run.update(*batch)  # raises nowhere
                found = run.result()
                assert np.isnan(list(found.values()) if isinstance(found, dict) else found).all(), (name, sentence)
                refuses(ValueError, f'{name}: predictions must be numbers', run.metric.check)
                refuses(ValueError, sentence, run.metric.check)
            else:
                refuses(ValueError, sentence, run.metric.update_state, *batch)  # eager, on a CPU
                run.metric.check()
                assert_wrong_batch(run, sentence, *batch)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter('always')
                run.metric.reset_state()
            assert [str(each.message) for each in caught if sentence in str(each.message)], (name, sentence)

        # what counts nowhere may hold anything: an ignored pixel, and one of weight 0
        for hole in ((2, 3), (2, 2)):
            run.metric.reset_state()
            run.update(fill(y, hole, y[(0, *hole)] if hole == (2, 3) else NAN), fill(z, hole, NAN), w)
            assert run.result() == want, (name, hole)
        run.metric.reset_state()
        run.update(y, z, fill(w, (2, 3), NAN))
        assert run.result() == want, name
        # -inf for some classes masks them
        run.metric.reset_state()
        run.update(y, fill(z, (0, 0, 2), -INF), w)
        run.metric.check()


def case_what_a_label_is_likely_meant_to_be():
    eager, scores = km.PixelAccuracy(3).update_state, np.zeros((1, 4, 3), 'float32')
    refuses(
        ValueError,
        'PixelAccuracy: labels must be class ids from 0 to 2, got others in 2 pixels '
        '(2 of 255: give ignore_class=255 if these count nowhere)',
        eager,
        np.array([[0, 255, 2, 255]], 'uint8'),
        scores,
    )
    refuses(ValueError, 'got others in 1 pixel', eager, np.array([[0, -1, 2, 1]]), scores)
    binary = km.PixelAccuracy(2, from_logits=True).update_state
    masks = np.array([[0, 255, 0, 255]], 'uint8')
    refuses(ValueError, 'or divide masks of 0 and 255 by 255', binary, masks, np.zeros((1, 4, 1), 'float32'))
    sentence = 'one-hot or soft labels must be in [0, 1], got others in 3 pixels; an RGB picture is no label map'
    picture_ = np.array([[[9, 200, 31], [0, 2, 0], [0, 1, 0], [7, 0, 0]]], 'uint8')
    refuses(ValueError, sentence, eager, picture_, scores)
    refuses(
        ValueError, 'got others in 1 pixel', eager, np.array([[[0.5, NAN, 0], *[[0, 1, 0]] * 3]], 'float32'), scores
    )
    eager(np.array([[[0.5, 1.005, -0.005]] * 4], 'float32'), scores)  # rounding is no mistake


def case_wrong_probabilities():
    y = np.array([[0, 1, 1, 255]])
    prob = np.array([[[0.2], [0.9], [1.005], [7.0]]], 'float32')
    run = Run(km.MeanIoU(2, ignore_class=255))
    run.update(y, prob)
    assert run.result() == 1
    sentence = 'MeanIoU: probabilities must be in [0, 1], got others in 1 pixel; for logits give from_logits=True'
    assert_wrong_batch(run, sentence, y, fill(prob, (0, 0), -1.5))
    run.metric.reset_state()
    run.update(y, fill(prob, (0, 0), NAN))  # no exception
    refuses(ValueError, 'MeanIoU: predictions must be numbers, got NaN or infinity in 1 pixel', run.metric.check)
    # an argmax of logits is that of probabilities
    km.MeanIoU(2, ignore_class=255).update_state(y, np.array([[[-3.0, 5.0]] * 4], 'float32'))
    metric = km.CalibrationError(2, bins=3)
    metric.update_state(np.array([[0, 1]]), np.array([[[1.005, -0.005], [0.5, 0.5]]], 'float32'))
    assert 0 <= float(ops.convert_to_numpy(metric.result())) <= 1


def case_counters_neither_wrap_nor_forget():
    run = Run(km.PixelAccuracy(3))
    assert_wrong_batch(run, 'in 4 pixels', np.full((1, 4), 7), np.zeros((1, 4), 'int32'))
    counts = run.metric._wrong.counts
    counts.assign(ops.where(counts.value > 0, (1 << 20) - 1, 0))
    for _ in range(2):
        with contextlib.suppress(AssertionError):
            assert_wrong_batch(run, '', np.full((1, 4), 7), np.zeros((1, 4), 'int32'))
    assert int(np.array(ops.convert_to_numpy(counts)).max()) == 1 << 20
    refuses(ValueError, 'got others in 1048576 or more pixels', run.metric.check)


def case_top_class():
    rows = [
        [0, 1, 1],
        [-INF, -INF, 3],
        [-INF, -INF, -INF],
        [0, NAN, 1],
        [NAN, 0, 1],
        [0, 1, INF],
        [-INF, NAN, 0],
        [-0.0, 0, 0],
    ]
    scores = np.array([rows], 'float32')
    sound = [True, True, False, False, False, False, False, True]
    for dtype in ('float32',) if BACKEND == 'jax' else ('float32', 'float16', 'bfloat16', 'float64'):
        for compile_ in (jit, lambda function: function):
            ids, found = compile_(top_class)(ops.cast(ops.convert_to_tensor(scores), dtype))
            assert ops.convert_to_numpy(found)[0].tolist() == sound, dtype
            assert ops.convert_to_numpy(ids)[0][np.array(sound)].tolist()[:2] == [1, 2], dtype
    large = ops.convert_to_tensor(np.array([[[60000, 60000, -60000]]], 'float16'))
    assert bool(ops.convert_to_numpy(jit(top_class)(large)[1]).all())


def case_top_class_of_many():
    """With ties, and one number that is none in each class in turn, as many pixels as XLA takes in vectors."""
    rng = np.random.default_rng(0)
    for c in (5, 36, 37):
        scores = rng.integers(-3, 3, (1, 40, 41, c)).astype('float32')
        scores[0, 0, np.arange(41), np.arange(41) % c] = NAN
        scores[0, 1, np.arange(41), np.arange(41) % c] = INF
        scores[0, 2, :, 1:] = -INF
        ids, sound = (ops.convert_to_numpy(x)[0] for x in jit(top_class)(ops.convert_to_tensor(scores)))
        assert not sound[:2].any() and sound[2:].all(), c
        assert np.array_equal(ids[2:], scores.argmax(-1)[0, 2:]), c


def case_floatx_changes_no_number():
    y, z, w = picture(3)
    kinds = [
        lambda: km.SegmentationReport(3, q=(50,), calibration=True, max_images=4, metrics=('mIoU',), **GIVEN),
        lambda: km.BoundaryIoU(3, 'C', **GIVEN),
    ]
    kinds = kinds[:1] if BACKEND == 'jax' else kinds  # JAX compiles each
    for make in kinds:
        want = None
        for floatx in ('float32', 'float16', 'bfloat16', 'float64'):
            keras.config.set_floatx(floatx)
            try:
                metric = make()
                run = Run(metric, eager=True)
                run.update(y, z, w)
                run.update(y if BACKEND == 'jax' else y.astype('uint8'), z, w)
                found = run.result()
                assert metric.dtype == ('float64' if floatx == 'float64' else 'float32')
            finally:
                keras.config.set_floatx('float32')
            want = want or found
            for name in want if isinstance(want, dict) else [None]:
                a, b = (x[name] if isinstance(want, dict) else x for x in (found, want))
                assert abs(a - b) < 1e-6, (floatx, name, a, b)


def case_bools_and_wide_integers_are_labels():
    scores = np.array([[[2.0, 0], [0, 2], [0, 2], [2, 0]]], 'float32')
    bytes_ = np.array([[0, 255, 1, 0]], 'uint8').view(bool)  # as Pillow has them
    for labels in (bytes_, ops.convert_to_tensor(bytes_)):
        metric = km.PixelAccuracy(2, from_logits=True)
        metric.update_state(labels, scores, ops.convert_to_tensor(bytes_))
        assert float(ops.convert_to_numpy(metric.result())) == 1
    km.PixelAccuracy(2, from_logits=True).update_state(np.stack([~bytes_, bytes_], -1), scores)
    for dtype in ('uint16', 'uint32', 'uint64', 'int64', 'int8'):
        metric = km.PixelAccuracy(2, ignore_class=-1, from_logits=True)
        metric.update_state(np.array([[0, 1, 1, 0]]).astype(dtype), scores)
        assert float(ops.convert_to_numpy(metric.result())) == 1, dtype
        if dtype[-2:] != '16' and dtype != 'int8':
            far = np.array([[0, 1, 1, 2**32 - 1 if dtype == 'uint32' else 2**32]]).astype(dtype)
            refuses(
                ValueError,
                'labels must be class ids from 0 to 1, got others in 1 pixel',
                metric.update_state,
                far,
                scores,
            )


def case_empty_batches_and_pictures():
    for make in (
        lambda: km.SegmentationReport(3, q=(50,), metrics=('mIoU',), calibration=True, max_images=4, **GIVEN),
        lambda: km.BoundaryIoU(3, **GIVEN),
    ):
        for shape in ((0, 4, 5), (2, 0, 5)):
            metric = make()
            metric.update_state(np.zeros(shape, 'int32'), np.zeros((*shape, 3), 'float32'))
            metric.check()
            found = metric.result()
            for value in found.values() if isinstance(found, dict) else [found]:
                assert np.isnan(ops.convert_to_numpy(value)), shape


def case_tensorflow_calibrates_an_empty_share():
    import tensorflow as tf

    metric = km.SegmentationReport(3, q=(), calibration=True, **GIVEN)
    maps = tf.TensorSpec((None, None, None, 3), 'float32'), tf.TensorSpec((None, None, None), 'int64')
    update = tf.function(lambda p, t: metric.update_state(t, p), input_signature=maps)
    y, z, _ = picture()
    update(z[:0], y[:0].astype('int64'))
    update(z, y.astype('int64'))
    assert np.isfinite([float(value) for value in metric.result().values()]).all()


def case_torch_metrics_of_tensors_without_values():
    """Keras builds a loaded model with such tensors; where that fails half-way their state stays behind."""
    import torch

    for run in every_metric().values():
        with keras.device('meta'), keras.StatelessScope(), torch.no_grad():
            pred = torch.ones((2, 3, 4, 3), device='meta')
            run.metric.update_state(torch.ones((2, 3, 4), dtype=torch.int32, device='meta'), pred)
            assert run.metric.result() is not None


def case_host_metrics_of_wrong_pixels():
    y, z, w = picture()
    model, options = identity(3, 4, 3), dict(distances=('HD95',), boundary_iou=True, calibration=True, **GIVEN)
    refuses(
        ValueError,
        'HostMetrics: labels must be class ids from 0 to 2, got others in 1 pixel (1 fractional or NaN',
        km.HostMetrics((z, fill(y, (0, 0), 0.5)), 3, **options).evaluate,
        model,
    )
    refuses(
        ValueError, '(1 of 3: labels start at 0', km.HostMetrics((z, fill(y, (0, 0), 3)), 3, **options).evaluate, model
    )
    weights = fill(w, (0, 0), NAN)
    refuses(ValueError, 'weights must be finite', km.HostMetrics((z, y, weights), 3, **options).evaluate, model)
    one = np.full((1, 3, 4, 1), 2, 'float32')
    binary = km.HostMetrics((one, np.zeros((1, 3, 4), 'uint8')), 2, distances=())
    refuses(ValueError, 'for logits give from_logits=True', binary.evaluate, identity(3, 4, 1))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        found = km.HostMetrics((fill(z, (0, 0, 1), NAN), y), 3, **options).evaluate(model)
    assert np.isnan(list(found.values())).all() and {'mIoUD', 'HD95I', 'ECED', 'BoundaryIoUC'} <= set(found)
    assert [str(each.message) for each in caught if 'HostMetrics: predictions must be numbers' in str(each.message)]
    want = km.HostMetrics((z, y, w), 3, **options).evaluate(model)
    for hole in ((2, 3), (2, 2)):  # what counts nowhere may hold anything
        labels = fill(y, hole, NAN) if hole == (2, 2) else y
        found = km.HostMetrics((fill(z, hole, NAN), labels, w), 3, **options).evaluate(model)
        assert all(found[name] == want[name] or np.isnan(want[name]) for name in want), hole
