"""The reference's value and gradient on a case: central differences are dear, so the workers of a run share them."""

import dataclasses
import hashlib
import os
import pathlib
import tempfile

import numpy as np

from segparity.parity import cases, replay
from segparity.parity.extras import mapped
from shared_spec import LOSSES

FOLDER = 'SEGPARITY_TEST_FOLDER'  # in the environment: made and removed by tests/conftest.py, one for all xdist workers


def first_example(name):
    return next(iter(LOSSES[name].examples))


def expected_result(name, example, case_name, precision=None):
    """(spec, case, value, gradient or None); precision: a half one, to which the case's predictions are rounded."""
    case = cases.build(case_name)
    spec = replay.spec_for(LOSSES[name], LOSSES[name].examples[example], case)
    case = case.adapted(spec)
    if precision:
        extras = mapped(case.extras, lambda _, x: rounded(x, precision) if x.dtype.kind == 'f' else x)
        case = dataclasses.replace(case, pred=rounded(case.pred, precision), extras=extras)
    return spec, case, *_reference(spec, case, f'{name} {example} {case_name} {precision}')


def rounded(x, precision):
    """float64 ``x`` as float16 or bfloat16 hold it, ties to even."""
    if precision == 'float16':
        return x.astype(np.float16).astype(np.float64)
    bits = x.astype(np.float32).view(np.uint32)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return bits.view(np.float32).astype(np.float64)


def _reference(spec, case, key):
    folder = pathlib.Path(os.environ[FOLDER])
    path = folder / f'{hashlib.sha1(key.encode()).hexdigest()}.npz'
    if not path.exists():
        value, gradient = replay.reference(spec, case)
        arrays = dict(value=value) if gradient is None else dict(value=value, gradient=gradient)
        handle, part = tempfile.mkstemp(dir=folder, suffix='.npz')
        with os.fdopen(handle, 'wb') as file:
            np.savez(file, **arrays)
        os.replace(part, path)  # whole or not at all, whoever else writes it
    with np.load(path, allow_pickle=False) as data:
        return float(data['value']), data.get('gradient')
