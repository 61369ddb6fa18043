"""Values that are none, asked of Keras' workers: what every loss makes of one wrong pixel, eager and compiled."""

import os
import unittest.mock
import warnings

import keras
import numpy as np
from keras import backend, ops

import keras_plugin
from keras_plugin import values
from segparity.parity.keras_side import is_compiled
from shared_spec import LOSSES
from tests.support.losses import PLAIN

PIXEL = (0, 1, 2)
IGNORE = 255
# form -> (activation of the loss or None, from_logits, channels, kind of labels)
FORMS = {
    'ids': (None, True, 'many', 'ids'),
    'probabilities': (None, False, 'many', 'ids'),
    'sigmoid': ('sigmoid', True, 'many', 'ids'),
    'soft': (None, True, 'many', 'soft'),
    'one': (None, True, 'one', 'soft'),
    'one_hard': (None, True, 'one', 'ids'),
}


def loss_of(name, form, **changes):
    """The loss on a form of input, or None where it does not take that."""
    cls = LOSSES[name]
    activation, from_logits, channels, labels = FORMS[form]
    parameters = cls.parameters()
    if channels not in cls.channels or (labels == 'soft' and 'soft' not in cls.labels):
        return None
    if name == 'WeightedSumLoss':
        parts = [loss_of(k, form, **changes) for k in ('WeightedCrossEntropyLoss', 'JaccardMetricLoss')]
        return keras_plugin.losses.WeightedSumLoss(losses=parts)
    if activation and 'activation' not in parameters:
        return None
    if cls.needs_logits and not from_logits:
        return None
    options = dict(next(iter(cls.examples.values())).params) if cls.needs_areas else {}
    options.update(dict(activation=activation) if activation else {})
    options.update({k: v for k, v in changes.items() if k in parameters})
    return getattr(keras_plugin.losses, name)(from_logits=from_logits, ignore_class=IGNORE, **options)


def sound(form, name=None):
    """(pred, labels, weights) in which everything counts; the second image's first pixels are ignored, one by each way.

    For a loss that needs areas the labels are stripes.
    """
    _, from_logits, channels, labels = FORMS[form]
    c = 1 if channels == 'one' else 3
    rng = np.random.default_rng(3)
    z = rng.normal(0, 1, (2, 8, 9, c)).astype('float32')
    if not from_logits:
        z = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    w = rng.uniform(0.5, 2, (2, 8, 9)).astype('float32')
    w[1, 0, 0] = 0
    if labels == 'ids':
        y = rng.integers(0, max(c, 2), (2, 8, 9)).astype('int32')
        if name and LOSSES[name].needs_areas:
            y[:] = np.arange(9) // 3 % max(c, 2)
        y[1, 0, 1] = IGNORE
    else:
        y = rng.uniform(0.1, 0.9, z.shape).astype('float32')
        y = y / y.sum(-1, keepdims=True) if c > 1 else y
    return z, y, w


def faults(form):
    """Name of a fault -> (which of pred, labels, weights has it, the value that the pixel gets)."""
    _, from_logits, channels, labels = FORMS[form]
    found = {'nan': (0, np.nan), 'inf': (0, np.inf), 'nan_everywhere': (0, [np.nan])}
    found['one_nan'] = (0, 'last nan')
    found['first_nan'] = (0, 'first nan')
    if not from_logits:
        found |= {'above': (0, 'last 1.5'), 'below': (0, 'last -0.5')}
    elif channels == 'many' and FORMS[form][0] is None:
        found['nothing'] = (0, -np.inf)
    if labels == 'ids':
        none = 3 if channels == 'many' else 2
        found |= {'label': (1, none), 'every_label': (1, (none,)), 'negative': (1, -1), 'far': (1, 2**31 - 1)}
    else:
        found |= {
            'label': (1, 'last 1.5'),
            'every_label': (1, (-0.4,)),
            'negative': (1, 'last -0.4'),
            'nan_label': (1, np.nan),
        }
    found |= {'weight': (2, -1.0), 'nan_weight': (2, np.nan), 'inf_weight': (2, np.inf)}
    return found


def inject_fault(arrays, fault, pixel):
    """The arrays with a fault at a pixel, or everywhere where the value is in a tuple."""
    arrays = [x.copy() for x in arrays]
    which, value = fault
    if isinstance(value, tuple):
        arrays[which][...] = value[0]
    elif isinstance(value, str):
        channel, number = value.split()
        arrays[which][(*pixel, 0 if channel == 'first' else -1)] = float(number)
    else:
        arrays[which][pixel] = value if np.ndim(value) == 0 else value[0]
    return arrays


def value_and_gradient(loss, jit=None):
    """A function of (pred, labels, weights) to value and gradient as NumPy arrays.

    jit: None is eager, False is TensorFlow's graph, whose optimizer has ideas of its own about NaN, True is compiled.
    """
    if backend.backend() == 'jax':
        import jax

        both = jax.value_and_grad(lambda z, y, w: loss(y, z, w))
        both = jax.jit(both) if jit else both
    elif backend.backend() == 'tensorflow':
        import tensorflow as tf

        def both(z, y, w):
            with tf.GradientTape() as tape:
                tape.watch(z)
                value = loss(y, z, w)
            return value, tape.gradient(value, z)

        both = both if jit is None else tf.function(both, jit_compile=jit, autograph=False)
    else:

        def both(z, y, w):
            z = z.detach().requires_grad_(True)
            value = loss(y, z, w)
            value.backward()
            return value.detach(), z.grad

    def call(z, y, w):
        found = both(*(None if x is None else values.to_tensor(x) for x in (z, y, w)))
        return [np.asarray(ops.convert_to_numpy(x)) for x in found]

    return call


def outcome(call, arrays, slope):
    """['NaN' or the value, 'NaN', 'finite' or 'mixed'] for the gradient where ``slope`` (N, *space, C) is, or the sentence.

    A clipped probability or a channel that a loss does not look at has no slope.
    """
    try:
        value, gradient = call(*arrays)
    except Exception as error:
        return f'{type(error).__name__}: {error}'
    steep = slope != 0
    steep[PIXEL] = False
    missing = np.isnan(gradient[steep])
    kind = 'NaN' if missing.all() else 'mixed' if missing.any() else 'finite'
    return ['NaN' if np.isnan(value) else float(value), kind]


def levels_of(name):
    """The levels of which a loss may take the mean."""
    field = LOSSES[name].parameters().get('granularity')
    return field.metadata['allowed'].words if field else ()


def losses_of(form, names=None, granularity=None):
    """(name, loss) of the losses that take a form of input, with a granularity and nothing added to the scores."""
    for name in names or PLAIN:
        if form == 'sigmoid' and LOSSES[name].needs_softmax:
            continue  # refused
        if granularity is None:
            loss = loss_of(name, form)
        elif 'C' in levels_of(name):
            loss = loss_of(name, form, granularity=granularity, smooth=0.0)
        else:
            continue
        if loss is not None:
            yield name, loss


def traced_outcomes(arrays, form, jit, names=None, granularity=None):
    """Loss -> fault -> outcome where values cannot be seen, and what changed because of pixels that do not count."""
    found = {}
    hard = FORMS[form][3] == 'ids'
    for name, loss in losses_of(form, names, granularity):
        call, base, found[name] = value_and_gradient(loss, jit and is_compiled(loss.spec)), sound(form, name), {}
        with unittest.mock.patch.object(values, 'can_look', lambda x: False):
            before = call(*base)
            if not all(np.isfinite(x).all() for x in before):
                found[name]['sound'] = float(before[0])
            for fault, what in faults(form).items():
                found[name][fault] = outcome(call, inject_fault(base, what, PIXEL), before[1])
                places = {'weight 0': (1, 0, 0)} if what[0] != 2 else {}
                places |= {'ignored': (1, 0, 1)} if hard and what[0] != 1 else {}
                for key, place in places.items():
                    after = call(*inject_fault(base, what, place))
                    if not all(np.array_equal(a, b) for a, b in zip(before, after)):
                        found[name][f'{fault}, {key}'] = outcome(call, inject_fault(base, what, place), before[1])
    return found, {}


def eager_outcomes(arrays, form, names):
    """Loss -> fault -> outcome of an eager call on the CPU, beside what the reference says."""
    found = {}
    for name, loss in losses_of(form, names):
        call, base = value_and_gradient(loss), sound(form, name)
        slope, found[name] = call(*base)[1], {}
        for fault, what in faults(form).items():
            z, y, w = inject_fault(base, what, PIXEL)
            y_first = np.moveaxis(y, -1, 1) if y.shape == z.shape else y
            try:
                want = ['NaN' if np.isnan(loss.spec.reference(np.moveaxis(z, -1, 1), y_first, w)) else 'number', 'NaN']
            except ValueError as error:
                want = f'ValueError: {error}'.replace('ignore_index', 'ignore_class')
                want = want.replace(' (in MMSegmentation reduce_zero_label=True brings 1 there)', ', so subtract 1')
            found[name][fault] = [outcome(call, (z, y, w), slope), want]
    return found, {}


def pixel_by_pixel(arrays):
    """The map of an unreduced cross-entropy with one wrong pixel of each kind: where it is NaN."""
    loss = keras_plugin.losses.WeightedCrossEntropyLoss(from_logits=True, ignore_class=IGNORE, reduction='none')
    z, y, w = sound('ids')
    z[0, 0, 0, 1], y[0, 0, 1], w[0, 0, 2] = np.nan, 3, np.nan
    with unittest.mock.patch.object(values, 'can_look', lambda x: False):
        found = ops.convert_to_numpy(loss(y, z, w))
    return np.argwhere(~np.isfinite(found)).tolist(), {}


def never(arrays, form, names=None):
    """Loss -> [value, gradient] differences of logits -inf to -1e4 for a class that no pixel has, and for one that one has."""
    found = {}
    for name, loss in losses_of(form, names):
        call = value_and_gradient(loss)
        results = []
        for own in (False, True):
            z, y, w = sound(form, name)
            if form == 'one_hard':
                pixel, y[0, 0, 0] = (0, 0, 0), int(own)
            elif form == 'soft':
                pixel, y[..., 2] = (..., 2), 0
                y /= y.sum(-1, keepdims=True)
            else:
                y[y == 2] = 1
                y[0, 0, 0] = 2 if own else 1
                pixel = (0, 0, 0, 2) if own else (..., 2)
            lowest = z.copy()
            z[pixel], lowest[pixel] = -np.inf, -1e4
            (value, gradient), (low_value, low_gradient) = call(z, y, w), call(lowest, y, w)
            off = float(np.abs(gradient - low_gradient).max())
            results.append(
                [float(value) if np.isfinite(value) else 'inf', float(low_value), 'NaN' if off != off else off]
            )
        found[name] = results
    return found, {}


def unlabelled(arrays, jit, names):
    """(loss, what has soft labels of 0 in all classes, prediction of a pixel there) that do not give NaN."""
    found = []
    for granularity in (None, 'I'):
        for name, loss in losses_of('soft', names, granularity):
            call = value_and_gradient(loss, jit)
            for where, place in {'the pixel': PIXEL, 'its image': 0, 'everything': ...}.items():
                for value in (np.nan, np.inf, 'first nan', 'last nan'):
                    z, y, w = sound('soft')
                    y[place] = 0
                    with unittest.mock.patch.object(values, 'can_look', lambda x: False):
                        value_found, gradient = call(*inject_fault((z, y, w), (0, value), PIXEL))
                    if not np.isnan(value_found) or not np.isnan(gradient).any():
                        found.append([name, granularity, where, str(value), float(value_found)])
    return found, {}


def several_labels(arrays, jit):
    """Loss -> how many classes a one-hot label names -> the outcome where values are seen, and where they are not."""
    found = {}
    for name in (name for name in PLAIN if LOSSES[name]().one_label):
        z, y, w = sound('ids', name)
        y = np.eye(3, dtype='int32')[np.minimum(y, 2)]
        found[name] = {}
        for named in (0, 2):
            wrong = y.copy()
            wrong[PIXEL] = [named > 0, named > 1, 0]
            slope = value_and_gradient(loss_of(name, 'ids'))(z, y, w)[1]
            seen = outcome(value_and_gradient(loss_of(name, 'ids')), (z, wrong, w), slope)
            with unittest.mock.patch.object(values, 'can_look', lambda x: False):
                unseen = outcome(value_and_gradient(loss_of(name, 'ids'), jit), (z, wrong, w), slope)
            w_absent = w.copy()
            w_absent[PIXEL] = 0
            absent = outcome(value_and_gradient(loss_of(name, 'ids')), (z, wrong, w_absent), slope)
            found[name][named] = [seen, unseen, absent[1]]
    return found, {}


def label_dtypes(arrays):
    """dtype -> [the loss of labels in it, the sentence for one out of range or far beyond], and those of reserved labels."""
    z, y, w = sound('ids')
    loss = keras_plugin.losses.JaccardMetricLoss(from_logits=True, ignore_class=IGNORE)
    found = {}
    for dtype in ('uint8', 'uint16', 'int32', 'uint32', 'int64', 'uint64', 'float32', 'float64'):
        labels = y.astype(dtype)
        found[dtype] = [float(loss(labels, z, w))]
        found[f'{dtype} one-hot'] = [
            float(loss(np.eye(3)[np.minimum(y, 2)].astype(dtype), z, np.where(y == IGNORE, 0, w)))
        ]
        labels[PIXEL] = 2**32 + 1 if labels.itemsize == 8 else 7
        found[dtype].append(outcome(lambda z, y, w: loss(y, z, w), (z, labels, w), z))
    one, one_y, _ = sound('one_hard')
    dice = keras_plugin.losses.SoftDiceLoss(from_logits=True, ignore_class=IGNORE)
    found['one channel'] = [float(dice((one_y == 1).astype(t), one)) for t in ('bool', 'uint16', 'uint64', 'float64')]
    bytes_of_255 = ((one_y == 1) * np.uint8(255)).view(bool)  # as Pillow's 1-bit pictures hold True
    found['one channel'].append(float(dice(bytes_of_255, one)))
    for ignored, dtype in ((2**32 - 1, 'uint32'), (2**16 - 1, 'uint16'), (-1, 'int64')):
        reserved = keras_plugin.losses.JaccardMetricLoss(from_logits=True, ignore_class=ignored)
        found[dtype].append(float(reserved(np.where(y == IGNORE, ignored, y).astype(dtype), z, w)))
    half = y.astype('float32')
    half[PIXEL] = 0.5
    found['fraction'] = outcome(lambda z, y, w: loss(y, z, w), (z, half, w), z)
    return found, {}


def nothing(arrays, names):
    """The losses, and forms of labels, that are not 0 without pixels or without images; sizes of the gradients."""
    found = []
    for name in names:
        form = 'one_hard' if 'many' not in LOSSES[name].channels else 'ids'
        c = 1 if form == 'one_hard' else 5
        spaces = [(0, 8, 9)] + ([(2, 0), (2, 0, 8)] if 1 in LOSSES[name].spatial_axes else [])
        for space in spaces:
            for labels in (np.zeros(space, 'int32'), np.zeros((*space, c), 'float32')):
                if labels.ndim > len(space) and 'soft' not in LOSSES[name].labels:
                    continue
                call = value_and_gradient(loss_of(name, form))
                value, gradient = call(np.zeros((*space, c), 'float32'), labels, None)
                if value != 0 or gradient.shape != (*space, c):
                    found.append([name, space, float(value)])
    return found, {}


def floatx(arrays, setting, forms, names=None):
    """Loss, form -> largest difference of value and gradient to those under float32."""
    found = {}
    for form in forms:
        for name, _ in losses_of(form, names):
            results = []
            for kind in ('float32', setting):
                keras.config.set_floatx(kind)
                try:
                    results.append(value_and_gradient(loss_of(name, form))(*sound(form, name)))
                finally:
                    keras.config.set_floatx('float32')
            scale = max(1.0, abs(results[0][0]))
            found[f'{name}, {form}'] = [float(np.abs(a - b).max() / scale) for a, b in zip(*results)]
    return found, {}


def fit(arrays, folder, jit):
    """What a compiled ``fit`` and its callbacks make of one wrong label in the third of four batches."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (8, 6, 7, 3)).astype('float32'), rng.integers(0, 3, (8, 6, 7))
    wrong = x.copy()
    wrong[4, 1, 2, 0] = np.nan
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6, 7, 3)), keras.layers.Conv2D(3, 1)])
    model.compile('sgd', keras_plugin.losses.JaccardMetricLoss(from_logits=True, granularity='I'), jit_compile=jit)
    steps = []
    count = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(batch))
    best = keras.callbacks.ModelCheckpoint(
        f'{folder}/best.keras', mode='min', initial_value_threshold=10.0, save_best_only=True
    )
    model.fit(x, y, batch_size=2, validation_data=(wrong, y), callbacks=[best], verbose=0)
    saved = os.path.exists(f'{folder}/best.keras')
    stop = [keras.callbacks.TerminateOnNaN(), count]
    model.fit(wrong, y, batch_size=2, shuffle=False, epochs=3, callbacks=stop, verbose=0)
    return dict(saved=saved, steps=steps), {}


def debugging(arrays, jit):
    """Under SEGPARITY_DEBUG=1: what ``fit`` says of a wrong label: its error, its warnings."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (4, 6, 7, 3)).astype('float32'), rng.integers(0, 3, (4, 6, 7))
    y[1, 2, 3] = 200
    model = keras.Sequential([keras.Input((6, 7, 3)), keras.layers.Conv2D(3, 1)])
    model.compile('sgd', keras_plugin.losses.JaccardMetricLoss(from_logits=True), jit_compile=jit)
    with unittest.mock.patch.object(values, 'DEBUG', True), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        try:
            said = str(model.fit(x, y, verbose=0).history['loss'])
        except Exception as error:
            said = f'{type(error).__name__}: {error}'
    return [said, [str(w.message) for w in caught if 'SEGPARITY' in str(w.message)]], {}


LEFT_OUT = [  # a part that would have shown a wrong number has the factor 0
    *(
        (name, dict(loss_weight=0.0))
        for name in ('JaccardMetricLoss', 'ComboLoss', 'GeneralizedDiceLoss', 'RobustTLoss')
    ),
    ('RegionMutualInformationLoss', dict(ce_weight=0.0)),
    ('JaccardMetricLoss', dict(class_weight=[0.0, 1.0, 1.0])),
    ('SoftDiceLoss', dict(classes=[1])),
    ('SoftDiceLoss', dict(classes=[1], pooled=True)),
    ('WeightedCrossEntropyLoss', dict(class_weight=[0.0, 1.0, 1.0])),
]


def wrong_where_a_part_is_left_out(arrays, jit):
    """What is a number, in value or all of the gradient, of wrong logits or soft labels in one class, unseen."""
    found = []
    for name, parameters in LEFT_OUT:
        loss = getattr(keras_plugin.losses, name)(from_logits=True, **parameters)
        call, base = value_and_gradient(loss, jit), sound('soft')
        with unittest.mock.patch.object(values, 'can_look', lambda x: False):
            if not all(np.isfinite(x).all() for x in call(*base)):
                found.append([name, 'sound'])
            for what, number in ((0, np.nan), (1, 1.5), (1, np.nan)):
                for k in range(3):
                    given = [x.copy() for x in base]
                    given[what][(*PIXEL, k)] = number
                    value, gradient = call(*given)
                    if not np.isnan(value) or not np.isnan(gradient).any():
                        found.append([name, str(parameters), what, k, float(value)])
    return found, {}
