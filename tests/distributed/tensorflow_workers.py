"""One of two processes of a MultiWorkerMirroredStrategy, which TF_CONFIG describes: trains the cases and writes them down."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from tests.distributed.cases import cases, shares
from tests.distributed.keras_loss import Model, batch
from tests.distributed.tensorflow_replicas import step


def main(folder, *names):
    strategy = tf.distribute.MultiWorkerMirroredStrategy()  # before anything else of TensorFlow runs
    rank, found = json.loads(os.environ['TF_CONFIG'])['task']['index'], {}
    for name in names:
        case = cases()[name]
        whole = batch(case, 2)
        own = [tf.constant(a[shares(case.batch, 2)[rank]]) for a in whole if a is not None]
        value, gradients = step(Model(case), whole)
        found[f'{name}/one'] = np.concatenate([[value], *(g.numpy().ravel() for g in gradients)])
        with strategy.scope():
            model = Model(case)
        values = tf.function(lambda model=model, own=own: strategy.run(lambda: step(model, own)))()
        total = [strategy.reduce('sum', a, axis=None).numpy().ravel() for a in (values[0], *values[1])]
        found[f'{name}/two'] = np.concatenate(total)
    np.savez(Path(folder) / f'{rank}.npz', **found)


if __name__ == '__main__':
    main(*sys.argv[1:])
