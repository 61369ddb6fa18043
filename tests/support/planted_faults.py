"""Faults planted in a worker, of which ``segparity check`` has to say DIFFERS; runs there, never in pytest's own process."""

import os
from unittest import mock

planted = []


def plant(arrays, fault):
    """Plants a fault of ``faults()`` in the framework of this process."""
    _forget()
    owner, name, wrong = faults()[fault]
    planted.append(mock.patch.object(owner, name, wrong))
    planted[-1].start()
    return None, {}


def lift(arrays):
    """Everything as it was."""
    while planted:
        planted.pop().stop()
    _forget()
    return None, {}


def _forget():
    """What was compiled before knows nothing of a fault, and would keep it afterwards."""
    if 'KERAS_BACKEND' in os.environ:
        from segparity.parity import keras_side

        keras_side._step.cache_clear()


def faults():
    return keras_faults() if 'KERAS_BACKEND' in os.environ else torch_faults()


def torch_faults():
    from mmseg_plugin.evaluation import fine_grained
    from mmseg_plugin.kernels.overlap import choice, cpu, hard, triton_launch
    from mmseg_plugin.losses.base import Loss, RegionLoss

    forward, gradient_, blocks = cpu.forward, cpu.gradient_, cpu.blocks
    kernels = triton_launch.kernel_forward
    counts, call, many = fine_grained.tensor_counts, Loss.forward, hard.ManyClasses.gradient_

    def off(*call, **options):
        sums, kept = forward(*call, **options)
        return sums * 1.001, kept

    def all_but_the_last(*shape):
        places = list(blocks(*shape))
        return places[:-1] if len(places) > 1 else places

    return {
        'value': (RegionLoss, 'after_mean', lambda self, mean: mean + 1e-4),
        'gradient': (RegionLoss, 'after_mean', lambda self, mean: mean + 1e-3 * (mean - mean.detach())),
        'number_for_nan': (Loss, 'forward', lambda self, *a, **k: call(self, *a, **k).nan_to_num(0.5)),
        'fused': (cpu, 'forward', off),
        'fused_gradient': (cpu, 'gradient_', lambda *a: gradient_(*a).mul_(1.001)),
        'fused_blocks': (cpu, 'blocks', all_but_the_last),
        'fused_many_classes': (
            hard.ManyClasses, 'gradient_', lambda self, *a: many(self, *a).mul_(1.001)
        ),
        'fused_never': (choice, 'SMALL', 10**9),
        'kernels': (triton_launch, 'kernel_forward', lambda *a: kernels(*a) * 1.001),
        'metric': (fine_grained, 'tensor_counts', lambda pred, *a: counts(pred * 0, *a)),
    }  # fmt: skip


def keras_faults():
    from keras import backend

    from keras_plugin import metrics
    from keras_plugin.losses.base import RegionLoss

    result = metrics.SegmentationReport.result

    def traced():
        import tensorflow as tf

        return backend.backend() == 'tensorflow' and not tf.executing_eagerly()

    return {
        'value': (RegionLoss, 'after_mean', lambda self, mean: mean + 1e-4),
        'gradient': (
            RegionLoss, 'after_mean', lambda self, mean: mean + 1e-3 * (mean - backend.core.stop_gradient(mean))
        ),
        'compiled': (
            RegionLoss, 'after_mean', lambda self, mean: mean * 1.001 if traced() else mean
        ),
        'metric': (
            metrics.SegmentationReport, 'result', lambda self: {k: v * 0.999 for k, v in result(self).items()}
        ),
    }  # fmt: skip
