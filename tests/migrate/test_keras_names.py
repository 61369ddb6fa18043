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

keras = pytest.importorskip('keras')
BASES = {'Loss', 'LossFunctionWrapper', 'Metric'}


def test_losses():
    known = keras.src.losses.ALL_OBJECTS_DICT
    named = {value.__name__ for value in known.values()} - BASES
    assert named == FUNCTIONS | CLASSES


def test_metrics():
    known = {cls.__name__ for cls in keras.src.metrics.ALL_OBJECTS} - BASES
    assert known == METRICS
    assert METRIC_FUNCTIONS - FUNCTIONS - {'accuracy'} <= {name for name in dir(keras.metrics) if name.islower()}


def test_strings_of_losses():
    for word, found in keras.src.losses.ALL_OBJECTS_DICT.items():
        if found.__name__ not in BASES:
            item = of_string(word, Place('x'))
            assert (item.library, item.name) == ('keras', found.__name__), word


def test_strings_of_metrics():
    for word, found in keras.src.metrics.ALL_OBJECTS_DICT.items():
        if found.__name__ not in BASES:
            item = of_string(word, Place('x'), metric=True)
            same = {item.name, METRIC_WORDS.get(item.name), METRIC_WORDS.get(ALIASES.get(word.lower(), ''))}
            assert item.library == 'keras' and found.__name__ in same, word


def test_what_keras_lacks_is_the_projects_own():
    assert of_string('dice_coef_loss', Place('x')).library == 'own'
    assert of_string('dice_coef', Place('x'), metric=True).library == 'own'


def test_labels_are_of_names_that_exist():
    assert set(LABELS) <= FUNCTIONS | CLASSES
