"""What the page's tests ask of Keras' workers."""

import numpy as np
from keras import backend, ops

from tests.soft_labels.page_blocks import run

RECIPES = ('student', 'recipe')


def snippets(arrays):
    """Runs the page but for the recipes; the weights of its pixels, and what its training reports."""
    names = run('Keras', RECIPES)
    history = names['model'].history.history
    return [np.unique(ops.convert_to_numpy(names['counts'])).tolist(), sorted(history)], {}


def recipes(arrays, cases):
    """Runs the page, and gives the losses of its recipes on the arrays of golden cases.

    arrays: '<kind>/<name>', of which the page ignores label 255; cases: kind -> region loss, its parameters, T.
    """
    names = run('Keras', () if backend.backend() == 'tensorflow' else ('tf.data',))
    found = {}
    for kind, (region, params, temperature) in cases.items():
        data = {key.split('/')[1]: value for key, value in arrays.items() if key.startswith(kind + '/')}
        data = {k: np.moveaxis(v, 1, -1) if v.ndim == 4 else v for k, v in data.items()}
        names['jaccard'] = regions(getattr(names['losses'], region), params)
        outputs = {'main': data['logits'], 'aux': data['aux_logits']}
        labels = data['soft'] if kind == 'ls' else data['label']
        labels = {'main': labels, 'aux': labels}
        if kind == 'kd':
            outputs = names['distilled_outputs'](data['logits'], data['aux_logits'], temperature)
            teachers = (ops.convert_to_tensor(data[k]) for k in ('teacher_logits', 'aux_teacher_logits'))
            labels = names['distilled_labels'](data['label'], *teachers, temperature)
            losses = names['distilled_recipe'](temperature)
        else:
            losses = names['smoothed_recipe' if kind == 'ls' else 'hard_recipe']()
        assert set(losses) == set(outputs) == set(labels)
        counts = data['label'] != 255
        found[kind] = {k: float(losses[k](labels[k], outputs[k], counts)) for k in losses}
    return found, {}


def regions(cls, params):
    """The page's ``jaccard`` with the loss and the granularity of a case."""

    def jaccard(weight, ignore_class=None):
        return cls(from_logits=True, ignore_class=ignore_class, smooth=1.0, loss_weight=weight, **params)

    return jaccard
