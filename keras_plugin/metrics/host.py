"""HostMetrics: every metric of the spec, measured on the host image by image, and the per-image table."""

import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_plugin.metrics.checked_metric import names_of_classes, spec_of
from keras_plugin.metrics.host_data import batches, check_data, image_maps, to_numpy
from keras_plugin.metrics.wrong_pixels import KINDS, sentence
from keras_plugin.typing import Logs
from shared_spec.checks import Boolean, Choice, Each, Integer
from shared_spec.metrics.boundary import DISTANCES, BoundaryIoU, BoundaryState, SurfaceDistance
from shared_spec.metrics.calibration import Calibration, CalibrationState
from shared_spec.metrics.fine_grained import FineGrained, FineGrainedState
from shared_spec.metrics.per_image import check_format, per_image_columns, write_table
from shared_spec.parameters import NamedParameters, SpecError, check_parameter
from shared_spec.typing import AnyPath

SOME_DISTANCES = Each(
    Choice(*DISTANCES),
    "a list (it may be empty) of different names out of 'HD', 'HD95', 'ASSD'",
    at_least=0,
    unique=True,
)


class HostMetrics(keras.callbacks.Callback, metaclass=NamedParameters):
    """Predicts ``data`` at the end of every ``every``-th epoch and puts all results into the logs, after ``prefix``.

    The names are the spec's: ``aAcc``, ``mIoUC5``, ...; with ``distances`` ``HD95I``, ``HD95C``, in units of
    ``spacing``; with ``boundary_iou`` ``BoundaryIoUD``, ...; with ``calibration`` ``ECED``, ... (``levels`` holds for
    all, as far as a metric has the level); all but distances are fractions. Callbacks that monitor them belong after
    this one in the list. Without ``fit``: ``HostMetrics(...).evaluate(model)``.

    data: arrays (x, y) or (x, y, sample_weight), read ``batch_size`` images at a time, or batches of them: a
    tf.data.Dataset, a PyDataset, a DataLoader, a function that makes an iterator. Labels, weights and predictions as in
    ``keras_plugin.metrics.label_maps``. ``image_ids`` names the images in order; a name that comes again is dropped.
    per_image_file: a .csv or .parquet file, written anew each time: one row for each class of each image.
    Where the model predicts NaN every result is, with a warning, and the table is not written. Labels, weights and
    probabilities outside their range are a ValueError. The model only predicts: metrics, optimizer and random state stay as they are. Distances need SciPy and most of the
    time.
    """

    boundary: list[BoundaryIoU | SurfaceDistance]
    calibration: Calibration | None
    _of_classes: dict[str, np.ndarray]

    def __init__(
        self,
        data: Any,
        num_classes: int,
        ignore_class: int | None = None,
        from_logits: bool = False,
        distances: Sequence[str] = ('HD95',),
        boundary_iou: bool = False,
        calibration: bool = False,
        q: Sequence[int] = (1, 5),
        levels: Sequence[str] = ('D', 'I', 'C'),
        metrics: Sequence[str] = ('mAcc', 'mIoU', 'mDice'),
        beta: float = 1.0,
        ratio: float = 0.02,
        spacing: Sequence[float] | None = None,
        empty: str = 'inf',
        bins: int = 10,
        hit: str = 'label',
        present_in: str = 'target',
        binary: bool = False,
        every: int = 1,
        per_image_file: AnyPath | None = None,
        class_names: Sequence[str] | None = None,
        image_ids: Sequence[str | int] | None = None,
        prefix: str = 'val_',
        batch_size: int = 8,
    ) -> None:
        super().__init__()
        owner = type(self).__name__
        check_data(owner, data)
        self.data, self.prefix = data, prefix
        self.from_logits = check_parameter(owner, 'from_logits', Boolean(), from_logits)
        self.every = check_parameter(owner, 'every', Integer(1), every)
        self.batch_size = check_parameter(owner, 'batch_size', Integer(1), batch_size)
        distances = check_parameter(owner, 'distances', SOME_DISTANCES, distances)
        common = dict(num_classes=num_classes, ignore_class=ignore_class, binary=binary)
        present = dict(common, present_in=present_in)
        overlap = dict(present, levels=levels, q=q, metrics=metrics, beta=beta)
        self.overlap = spec_of(FineGrained, owner, **overlap)
        self.boundary, self.calibration = [], None
        if check_parameter(owner, 'boundary_iou', Boolean(), boundary_iou):
            self.boundary.append(spec_of(BoundaryIoU, owner, **present, levels=levels, ratio=ratio))
        if distances:
            some = self._levels('distances', 'IC')
            arguments = dict(present, levels=some, metrics=distances, spacing=spacing, empty=empty)
            self.boundary.append(spec_of(SurfaceDistance, owner, **arguments))
        if check_parameter(owner, 'calibration', Boolean(), calibration):
            some = self._levels('calibration', 'DI')
            self.calibration = spec_of(Calibration, owner, **common, levels=some, bins=bins, hit=hit)
        c = self.overlap.num_classes
        self.class_names = names_of_classes(owner, self.overlap, range(c) if class_names is None else class_names)
        self._of_classes = {}
        self.image_ids = None if image_ids is None else [str(name) for name in image_ids]
        self.per_image_file = per_image_file
        if per_image_file is not None:
            check_format(owner, per_image_file)

    def _levels(self, what: str, known: str) -> list[str]:
        some = [level for level in self.overlap.levels if level in known]
        if not some:
            raise SpecError(
                f"{what} need level '{known[0]}' or '{known[1]}', got levels {list(self.overlap.levels)}",
                owner=type(self).__name__,
            )
        return some

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if (epoch + 1) % self.every:
            return
        results = self.evaluate(self.model)
        if logs is not None:
            logs.update((self.prefix + name, value) for name, value in results.items())

    def evaluate(self, model: keras.Model) -> dict[str, float]:
        """Name -> value of a model on the data; writes ``per_image_file``."""
        names, overlap, boundary, calibration, unsound = self._measured(model)
        results = overlap.results(self.overlap)
        cells, of_classes = overlap.cells(self.overlap), overlap.per_class(self.overlap)
        for spec in self.boundary:
            results.update(boundary.results(spec))
            cells.update(boundary.cells(spec))
            of_classes.update(boundary.per_class(spec))
        if self.calibration:
            results.update(calibration.results(self.calibration))
            of_classes.update(calibration.per_class(self.calibration))
            found = calibration.cells(self.calibration)
            cells.update((name, found[name]) for name in ('SCE', 'ECE'))
        if unsound:
            seen = {**dict.fromkeys(KINDS, 0), 'scores': unsound}
            warnings.warn(f'{type(self).__name__}: {sentence(self.overlap.num_classes, seen)}', stacklevel=2)
            self._of_classes = {name: np.full(values.shape, np.nan) for name, values in of_classes.items()}
            return dict.fromkeys(results, float('nan'))
        self._of_classes = of_classes
        if self.per_image_file is not None:
            write_table(self.per_image_file, per_image_columns({'image': names}, self.class_names, cells))
        return results

    def per_class(self) -> dict[str, np.ndarray]:
        """Name -> NumPy (num_classes,) of the last evaluation: the terms of the means of D and C, ``HD95C`` among them."""
        return dict(self._of_classes)

    def _measured(
        self, model: keras.Model
    ) -> tuple[list[str], FineGrainedState, BoundaryState | Any, CalibrationState | Any, int]:
        """The names of the images, the states of the three families with every image, and how many pixels are no numbers."""
        owner, c, ignored = type(self).__name__, self.overlap.num_classes, self.overlap.ignore_index
        overlap = FineGrainedState(c, ignored)
        boundary = BoundaryState.for_specs(*self.boundary) if self.boundary else None
        calibration = CalibrationState(c, ignored, self.calibration.bins) if self.calibration else None
        names, seen, unsound = [], 0, 0
        for x, labels, weights in batches(owner, self.data, self.batch_size):
            scores = self._predicted(model, x, len(labels))
            images, here = image_maps(self.overlap, owner, self.from_logits, labels, scores, weights)
            unsound += here
            for ids, target, weight, prob in images:
                if calibration is not None and prob is None:
                    raise ValueError(
                        f'{owner}: calibration needs scores, the model predicts class ids ({scores.dtype})'
                    )
                seen += 1
                if self.image_ids is None:
                    name = None
                elif seen <= len(self.image_ids):
                    name = self.image_ids[seen - 1]
                else:
                    raise ValueError(
                        f'{owner}: image_ids must name all images, got {len(self.image_ids)} and more images'
                    )
                if overlap.update(ids, target, weight, name):
                    names.append(str(seen - 1) if name is None else name)
                if boundary is not None:
                    boundary.update(ids, target, weight, name)
                if calibration is not None:
                    calibration.update(prob, target, weight, name)
        if self.image_ids is not None and seen != len(self.image_ids):
            raise ValueError(f'{owner}: image_ids must name the {seen} images of the data, got {len(self.image_ids)}')
        return names, overlap, boundary, calibration, unsound

    def _predicted(self, model: keras.Model, x: Any, n: int) -> np.ndarray:
        """The model's one output for a batch, as NumPy."""
        output = model.predict_on_batch(x)
        if isinstance(output, (dict, list, tuple)):
            raise ValueError(f'{type(self).__name__}: the model must have one output, got {len(output)}')
        return np.asarray(to_numpy(output))[:n]  # each replica of a strategy predicts the whole batch
