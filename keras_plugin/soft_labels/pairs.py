"""Batches of labelled and unlabelled images side by side."""

from collections.abc import Mapping
from typing import Any

import keras

LABELLED, UNLABELLED = 'labelled', 'unlabelled'


def is_pair(x: Any) -> bool:
    """Whether inputs are labelled and unlabelled images, as ``semi_supervised`` gives them."""
    return isinstance(x, Mapping) and set(x) == {LABELLED, UNLABELLED}


def semi_supervised(labelled: Any, unlabelled: Any) -> Any:
    """What ``MeanTeacher.fit`` takes, of two data sets: ``({'labelled': x, 'unlabelled': u}, y)``, and weights if there are.

    Two ``keras.utils.PyDataset``, or two ``tf.data.Dataset`` of known length (or endless), in batches: ``labelled`` gives
    (x, y) or (x, y, sample_weight), ``unlabelled`` images, of whose labels and weights nothing is taken. The shorter one
    starts again until the longer one ends. TypeError for other data sets, and for batches of other form.
    """
    if isinstance(labelled, keras.utils.PyDataset) and isinstance(unlabelled, keras.utils.PyDataset):
        return Pairs(labelled, unlabelled)
    if hasattr(labelled, 'element_spec') and hasattr(unlabelled, 'element_spec'):
        return zipped(labelled, unlabelled)
    raise TypeError(
        'semi_supervised: labelled and unlabelled must be two PyDatasets or two tf.data.Datasets, got '
        f'{type(labelled).__name__} and {type(unlabelled).__name__}'
    )


class Pairs(keras.utils.PyDataset):
    """Batches of two PyDatasets; an epoch is that of the longer one. Workers are those of ``labelled``."""

    def __init__(self, labelled: keras.utils.PyDataset, unlabelled: keras.utils.PyDataset) -> None:
        super().__init__(
            workers=labelled.workers,
            use_multiprocessing=labelled.use_multiprocessing,
            max_queue_size=labelled.max_queue_size,
        )
        self.labelled, self.unlabelled = labelled, unlabelled
        for what, data in ((LABELLED, labelled), (UNLABELLED, unlabelled)):
            if not data.num_batches:
                raise ValueError(
                    f'semi_supervised: {what} must have a batch and a known number of them, got {data.num_batches}'
                )

    def __len__(self) -> int:
        return max(self.labelled.num_batches, self.unlabelled.num_batches)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        batches = (data[index % data.num_batches] for data in (self.labelled, self.unlabelled))
        return together(*batches)

    def on_epoch_begin(self) -> None:
        for data in (self.labelled, self.unlabelled):
            data.on_epoch_begin()

    def on_epoch_end(self) -> None:
        for data in (self.labelled, self.unlabelled):
            data.on_epoch_end()


def zipped(labelled: Any, unlabelled: Any) -> Any:
    """A tf.data pipeline of both, as long as the longer one."""
    import tensorflow as tf

    lengths = []
    for what, data in ((LABELLED, labelled), (UNLABELLED, unlabelled)):
        length = int(data.cardinality())
        if length in (tf.data.UNKNOWN_CARDINALITY, 0):
            raise ValueError(
                f'semi_supervised: {what} must have a batch and a known number of them, which assert_cardinality says, or '
                'be endless'
            )
        lengths.append(length)
    longest = tf.data.INFINITE_CARDINALITY if tf.data.INFINITE_CARDINALITY in lengths else max(lengths)
    pairs = tf.data.Dataset.zip((labelled.repeat(), unlabelled.repeat())).map(together)
    return pairs if longest == tf.data.INFINITE_CARDINALITY else pairs.take(longest)


def together(labelled: Any, unlabelled: Any) -> tuple[Any, ...]:
    """One batch of both."""
    if not isinstance(labelled, (tuple, list)) or len(labelled) not in (2, 3):
        raise TypeError(
            f'semi_supervised: a labelled batch must be (x, y) or (x, y, sample_weight), got {type(labelled).__name__}'
            + (f' of {len(labelled)}' if isinstance(labelled, (tuple, list)) else '')
        )
    x, *rest = labelled
    return {LABELLED: x, UNLABELLED: unlabelled[0] if isinstance(unlabelled, (tuple, list)) else unlabelled}, *rest
