"""Names of losses and metrics that are taken for Keras' own, against the Keras that is installed."""

import pytest

from segparity.migrate.items import Place
from segparity.migrate.reading.keras_names import (
    ALIASES,
    CLASSES,
    FUNCTIONS,
    LABELS,
    METRIC_FUNCTIONS,
    METRIC_WORDS,
    METRICS,
    of_string,
)
from tests.support.frameworks import axis

BASES = {'Loss', 'LossFunctionWrapper', 'Metric'}
KERAS = pytest.mark.parametrize('framework', axis('keras_tensorflow'))


def ask(worker):
    return worker.call('tests.migrate.keras_calls:names')[0]


@KERAS
def test_losses(framework, worker):
    named = set(ask(worker)['losses'].values()) - BASES
    assert named == FUNCTIONS | CLASSES


@KERAS
def test_metrics(framework, worker):
    found = ask(worker)
    assert set(found['metric_classes']) - BASES == METRICS
    assert METRIC_FUNCTIONS - FUNCTIONS - {'accuracy'} <= set(found['metric_functions'])


@KERAS
def test_strings_of_losses(framework, worker):
    for word, found in ask(worker)['losses'].items():
        if found not in BASES:
            item = of_string(word, Place('x'))
            assert (item.library, item.name) == ('keras', found), word


@KERAS
def test_strings_of_metrics(framework, worker):
    for word, found in ask(worker)['metrics'].items():
        if found not in BASES:
            item = of_string(word, Place('x'), metric=True)
            same = {item.name, METRIC_WORDS.get(item.name), METRIC_WORDS.get(ALIASES.get(word.lower(), ''))}
            assert item.library == 'keras' and found in same, word


def test_what_keras_lacks_is_the_projects_own():
    assert of_string('dice_coef_loss', Place('x')).library == 'own'
    assert of_string('dice_coef', Place('x'), metric=True).library == 'own'


def test_labels_are_of_names_that_exist():
    assert set(LABELS) <= FUNCTIONS | CLASSES
