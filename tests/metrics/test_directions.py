"""Every result of every metric says whether more of it is better; for Keras: ``keras_callback_cases.py``."""

import pytest

from shared_spec import METRICS

EXAMPLES = [
    pytest.param(spec(**example.params), id=f'{name}-{which}')
    for name, spec in METRICS.items()
    for which, example in spec.examples.items()
]


@pytest.mark.parametrize('spec', EXAMPLES)
def test_mmengine_s_hooks_know_it(spec):
    pytest.importorskip('mmseg', reason='needs MMSegmentation')
    from mmseg_plugin.evaluation.save_best import rule_of

    wrong = [name for name in spec.names() if rule_of(name) not in ('greater', 'less')]
    assert not wrong
