"""The losses and metrics that Keras has, by every name under which ``compile`` takes them."""

import re
from collections.abc import Mapping

from segparity.migrate.items import Item, Place
from segparity.migrate.reading.text import shorten

FUNCTIONS = frozenset(
    'binary_crossentropy binary_focal_crossentropy categorical_crossentropy categorical_focal_crossentropy '
    'sparse_categorical_crossentropy categorical_hinge circle cosine_similarity ctc dice hinge huber kl_divergence '
    'log_cosh mean_absolute_error mean_absolute_percentage_error mean_squared_error mean_squared_logarithmic_error '
    'poisson squared_hinge tversky'.split()
)
CLASSES = frozenset(
    'BinaryCrossentropy BinaryFocalCrossentropy CategoricalCrossentropy CategoricalFocalCrossentropy CategoricalHinge '
    'Circle CosineSimilarity CTC Dice Hinge Huber KLDivergence LogCosh MeanAbsoluteError MeanAbsolutePercentageError '
    'MeanSquaredError MeanSquaredLogarithmicError Poisson SparseCategoricalCrossentropy SquaredHinge Tversky'.split()
)
METRICS = frozenset(
    'Accuracy BinaryAccuracy CategoricalAccuracy SparseCategoricalAccuracy TopKCategoricalAccuracy '
    'SparseTopKCategoricalAccuracy AUC FalseNegatives FalsePositives TrueNegatives TruePositives Precision '
    'PrecisionAtRecall Recall RecallAtPrecision SensitivityAtSpecificity SpecificityAtSensitivity F1Score FBetaScore '
    'BinaryCrossentropy CategoricalCrossentropy SparseCategoricalCrossentropy KLDivergence Poisson CategoricalHinge '
    'Hinge SquaredHinge IoU BinaryIoU MeanIoU OneHotIoU OneHotMeanIoU CosineSimilarity LogCoshError MeanAbsoluteError '
    'MeanAbsolutePercentageError MeanSquaredError MeanSquaredLogarithmicError R2Score RootMeanSquaredError Mean Sum '
    'MeanMetricWrapper ConcordanceCorrelation PearsonCorrelation'.split()
)
METRIC_FUNCTIONS = FUNCTIONS | frozenset(
    'accuracy binary_accuracy categorical_accuracy sparse_categorical_accuracy top_k_categorical_accuracy '
    'sparse_top_k_categorical_accuracy'.split()
)
ALIASES: Mapping[str, str] = {
    'acc': 'accuracy',
    'bce': 'binary_crossentropy',
    'kld': 'kl_divergence',
    'kullback_leibler_divergence': 'kl_divergence',
    'logcosh': 'log_cosh',
    'mae': 'mean_absolute_error',
    'mape': 'mean_absolute_percentage_error',
    'mse': 'mean_squared_error',
    'msle': 'mean_squared_logarithmic_error',
}  # Keras 2 has two of them, and takes all in capitals too
LABELS: Mapping[str, str] = {
    'sparse_categorical_crossentropy': 'ids',
    'SparseCategoricalCrossentropy': 'ids',
    'categorical_crossentropy': 'one_hot',
    'CategoricalCrossentropy': 'one_hot',
    'categorical_focal_crossentropy': 'one_hot',
    'CategoricalFocalCrossentropy': 'one_hot',
}  # what a loss of Keras takes, where it takes one kind alone


def snake_case(name: str) -> str:
    """'MeanIoU' -> 'mean_io_u', as Keras names metrics in strings."""
    return re.sub('([a-z])([A-Z])', r'\1_\2', re.sub('(.)([A-Z][a-z]+)', r'\1_\2', name)).lower()


METRIC_WORDS: Mapping[str, str] = {snake_case(name): name for name in METRICS}


def of_string(word: str, place: Place, metric: bool = False) -> Item:
    """The item that a string in ``compile`` names: 'bce' is Keras' binary_crossentropy, what Keras lacks is the project's."""
    name = ALIASES.get(word, ALIASES.get(word.lower(), word) if word.isupper() else word)
    known = (METRIC_FUNCTIONS | METRICS) if metric else (FUNCTIONS | CLASSES)
    if metric and name not in known:
        name = METRIC_WORDS.get(name, name)
    return Item('keras' if name in known else 'own', shorten(name), {}, place, text=repr(shorten(word)))
