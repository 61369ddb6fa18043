"""What the evaluators share: one small row for each image, told apart by identity, and the per-image table."""

import math
import os.path as osp
import sys
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from mmengine.dist import get_world_size
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger, print_log
from mmengine.utils import mkdir_or_exist
from PIL import Image
from torch import Tensor

from mmseg_plugin.evaluation.tables import tables
from mmseg_plugin.metrics.label_maps import to_integers
from mmseg_plugin.metrics.soundness import check_channels, counts_of, fetch, sentences, unknown_images
from shared_spec.metrics.label_map_spec import LabelMapSpec
from shared_spec.metrics.per_image import check_format, per_image_columns, write_table
from shared_spec.parameters import NamedParameters, SpecError

S = TypeVar('S', bound=LabelMapSpec)
V = TypeVar('V', float, np.ndarray)


class NamedABCMeta(NamedParameters, ABCMeta):
    """BaseMetric is abstract and our constructors name what they do not know: both metaclasses in one."""


class ImageMetric(BaseMetric, metaclass=NamedABCMeta):
    """An evaluator whose rows are images: (identity, about, row...), where the state of the metric adds up the rows.

    An image that a padded distributed sampler repeats is dropped by its identity (paths and sample index), and an image
    without identity never; so results are those of one process, to the last digit. ``output_dir`` writes predictions
    as PNG, as IoUMetric does; ``format_only`` does nothing else. ``per_image_file`` (.csv or .parquet) gets one row for
    each class of each image at every evaluation. ``keep_results`` says nothing: ``test.py --out`` passes it beside
    ``output_dir``, and IoUMetric takes it as silently.

    ``about`` names the files of an image and counts what is wrong with it: logits that are not finite, and masks of 0
    and 255 alone, make every result NaN, labels that are no class are warned of, once in an evaluation.
    """

    results: list[Any]
    _specs: dict[int, Sequence[LabelMapSpec]]

    def __init__(
        self,
        collect_device: str,
        prefix: str | None,
        output_dir: str | None,
        format_only: bool,
        per_image_file: str | None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        owner = type(self).__name__
        if format_only and output_dir is None:
            raise SpecError('format_only=True needs output_dir, got None', owner=owner)
        self.output_dir, self.format_only, self.per_image_file = output_dir, format_only, per_image_file
        if per_image_file is not None:
            check_format(owner, per_image_file)
        if output_dir is not None:
            mkdir_or_exist(output_dir)
        self._specs = {}
        self.specs_for(2)  # refuses here what it can; the number of classes comes with the data set
        self._size = sys.maxsize

    @abstractmethod
    def specs_for(self, num_classes: int) -> Sequence[LabelMapSpec]:
        """The specs of the results, for a number of classes."""

    @abstractmethod
    def row(self, sample: Mapping[str, Any]) -> tuple[Any, ...]:
        """What the state's ``add`` takes, of one data sample."""

    @abstractmethod
    def new_state(self) -> Any:
        """An empty state for the specs."""

    def specs_of(self, kind: Callable[..., S], **arguments: Any) -> S:
        """A spec that speaks in the name of this evaluator."""
        try:
            return kind(**arguments)
        except SpecError as error:
            raise error.rename(owner=type(self).__name__) from None

    @property
    def class_names(self) -> Sequence[str]:
        """Those of ``dataset_meta``; ValueError where it names none."""
        classes = (self.dataset_meta or {}).get('classes')
        if not classes:
            raise ValueError(f"{type(self).__name__}: dataset_meta must name the 'classes', got {self.dataset_meta!r}")
        return classes

    @property
    def ignore_index(self) -> int | None:
        return self.specs[0].ignore_index

    @property
    def specs(self) -> Sequence[Any]:
        """The specs for the classes of the data set, made once for it."""
        classes = len(self.class_names)
        if classes not in self._specs:
            self._specs = {classes: self.specs_for(classes)}
        return self._specs[classes]

    @property
    def dataset_meta(self) -> dict[str, Any] | None:
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict[str, Any] | None) -> None:
        self._dataset_meta = dataset_meta
        if dataset_meta and dataset_meta.get('classes'):
            self.specs  # noqa: B018  refuses what the classes do not allow, before anything is trained

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Measures a batch of data samples (dicts with ``pred_sem_seg`` and ``gt_sem_seg``); writes it to output_dir."""
        for sample in data_samples:
            check_channels(type(self).__name__, sample, self.class_names)
            about = {'image_file': sample.get('img_path'), 'target_file': sample.get('seg_map_path')}
            counts, row = self._measured(sample)
            if self.output_dir is not None:
                about['pred_file'] = self._write(sample)
            self.results.append((identity(sample), about | counts, *row))

    def _measured(self, sample: Mapping[str, Any]) -> tuple[dict[str, Tensor], tuple[Any, ...]]:
        """What is counted of a sample, and its row; what is refused is so in this evaluator's name, with the image."""
        try:
            row = () if self.format_only else self.row(sample)
            return counts_of(sample, len(self.class_names), self.ignore_index), row
        except (TypeError, ValueError) as error:
            name, _, sentence = str(error).partition(': ')
            if not name.isidentifier():
                raise
            of_image = f' (image {sample["img_path"]})' if sample.get('img_path') else ''
            raise type(error)(f'{type(self).__name__}: {sentence}{of_image}') from None

    def maps(self, sample: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """The predicted ids and the labels of a data sample, both of the label's shape."""
        pred, target = sample['pred_sem_seg']['data'], sample['gt_sem_seg']['data']
        if pred.numel() != target.numel() or pred.shape[-1] != target.shape[-1]:
            raise ValueError(
                f'{type(self).__name__}: pred_sem_seg must have the shape of gt_sem_seg '
                f'{tuple(target.shape)}, got {tuple(pred.shape)}'
            )
        return pred.reshape(target.shape), target

    def _write(self, sample: Mapping[str, Any]) -> str:
        if not sample.get('img_path'):
            raise ValueError(f"{type(self).__name__}: output_dir needs the 'img_path' of every sample, got none")
        shift = 1 if sample.get('reduce_zero_label', False) else 0
        ids = to_integers(sample['pred_sem_seg']['data']).cpu().numpy()
        ids = ids.reshape(ids.shape[-2:]) + shift
        name = osp.splitext(osp.basename(sample['img_path']))[0] + '.png'
        path = osp.join(self.output_dir, name)  # type: ignore[arg-type]  # process asks whether there is one
        Image.fromarray(ids.astype(np.uint8 if len(self.class_names) + shift <= 256 else np.uint16)).save(path)
        return path

    def evaluate(self, size: int) -> dict[str, float]:
        """As BaseMetric; but rows are cut to ``size`` only where identities cannot tell the repeated ones."""
        self._forget_interrupted(size)
        self._size = size
        fetch([about for _, about, *_ in self.results])
        try:
            return super().evaluate(sys.maxsize)
        finally:
            self._size = sys.maxsize

    def _forget_interrupted(self, size: int) -> None:
        """Drops what an evaluation left here that was interrupted, of whose end nobody tells an evaluator.

        The images that came first come again in the same order, or one process has more images than there are.
        """
        ids, dropped = [identity for identity, *_ in self.results], 0
        if None in ids:
            return
        while ids[0:1] and ids[0] in ids[1:]:
            again = ids.index(ids[0], 1)
            if ids[:again] != ids[again : 2 * again]:
                break
            ids, dropped = ids[again:], dropped + again
        if get_world_size() == 1 and len(ids) > size:
            dropped += len(ids) - size
        if dropped:
            self.results = self.results[dropped:]
            MMLogger.get_current_instance().warning(
                f'{type(self).__name__}: {dropped} images of an evaluation that did not end are forgotten'
            )

    def compute_metrics(self, results: Sequence[Any]) -> dict[str, float]:
        """Name -> per cent (a distance as it is) of the collected rows; logs the table of classes."""
        logger = MMLogger.get_current_instance()
        if self.format_only:
            self._warn(logger, [about for _, about in results])
            logger.info(f'results are saved to {self.output_dir}')
            return {}
        if any(identity is None for identity, *_ in results):
            results = results[: self._size]
        state, abouts = self.new_state(), []
        for image_id, about, *row in results:
            if state.add(*row, image_id):
                abouts.append(about)
        self._warn(logger, abouts)
        for sentence in self.remarks(state):
            logger.info(f'{type(self).__name__}: {sentence}')
        if self.per_image_file is not None:
            write_table(self.per_image_file, self.per_image(state, abouts))
            logger.info(f'the table of images is saved to {self.per_image_file}')
        columns: dict[str, np.ndarray] = {}
        found: dict[str, float] = {}
        known = math.nan if any(unknown_images(abouts)) else 1
        for spec in self.specs:
            columns.update(
                (name, known * display_value(spec, name, v))
                for name, v in state.per_class(spec).items()
                if name[-1] in 'DC'
            )
            found.update((name, known * float(display_value(spec, name, v))) for name, v in state.results(spec).items())
        owner = type(self).__name__ + (f' ({self.prefix})' if self.prefix else '')
        print_log('\n' + tables(owner, self.specs, found, self.class_names, columns), logger=logger)
        return found | self.aliases(found)

    def aliases(self, found: Mapping[str, float]) -> dict[str, float]:
        """The same results under the names that MMSegmentation's own evaluator has for them."""
        return {}

    def remarks(self, state: Any) -> Iterable[str]:
        """Sentences about results that mislead by themselves."""
        return ()

    def _warn(self, logger: MMLogger, abouts: Sequence[dict[str, Any]]) -> None:
        for sentence in sentences(type(self).__name__, abouts, len(self.class_names), self.ignore_index):
            logger.warning(sentence)

    def per_image(self, state: Any, abouts: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
        """The columns of the per-image table, sorted by image, so that the order of arrival leaves no trace.

        An image of which nothing is known has no counts and no scores.
        """
        names = [
            about['image_file'] or image_id or str(i)
            for i, (image_id, about) in enumerate(zip(state.image_ids, abouts))
        ]
        order = sorted(range(len(names)), key=lambda i: (names[i], state.image_ids[i] or ''))
        images = {'image': [names[i] for i in order]}
        for key in ('image_file', 'target_file', 'pred_file'):
            if any(about.get(key) for about in abouts):
                images[key] = [abouts[i].get(key) or '' for i in order]
        unknown = np.array(unknown_images(abouts), bool)[order]
        cells = {}
        for spec in self.specs:
            for name, values in state.cells(spec).items():
                cells[name] = values[order]
                cells[name][unknown] = math.nan if values.dtype.kind == 'f' else 0
        return per_image_columns(images, self.class_names, cells)


def identity(sample: Mapping[str, Any]) -> str | None:
    """What tells an image from every other: its paths and its index in the data set, or None where it has neither."""
    keys = ('img_path', 'seg_map_path', 'sample_idx')
    known = [f'{key}={sample[key]}' for key in keys if sample.get(key) is not None]
    return ' '.join(known) if sample.get('img_path') is not None or sample.get('sample_idx') is not None else None


def display_value(spec: LabelMapSpec, name: str, value: V) -> V:
    """A fraction in per cent, a distance as it is."""
    return 100 * value if spec.is_fraction(name) else value
