"""``LoadAnnotatorMaps``, ``AverageAnnotators`` and their packing, in the pipeline of an MMSegmentation config."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.registry import TRANSFORMS

from shared_spec.annotators import majority_of_annotators
from shared_spec.checks import Choice, Integer, Optional
from shared_spec.parameters import NamedParameters, SpecError, check_parameter
from shared_spec.soft_label_arguments import check_weighting
from shared_spec.soft_labels import average_annotators
from shared_spec.values import check_ids

FIELD = 'gt_annotator_'  # and a number, in the results: maps that flips, crops and resizes treat as labels
MARKED = 255  # of a mask that is stored as a picture
ABOUT = 'annotators'  # in the results: the classes, and what is ignored
NUMBERS = 'annotator_numbers'  # in the results and the samples: of the maps, in the list of paths
SOFT, EACH = 'gt_soft_seg', 'gt_annotators'  # of the data samples


@TRANSFORMS.register_module()
class LoadAnnotatorMaps(metaclass=NamedParameters):
    """In place of ``LoadAnnotations``: the label maps of several annotators of an image, and what most of them mark.

    annotators: a path for each, in which {folder} is the folder of the image, {parent} the name of that folder and {name}
    the image's name without its ending: '{folder}/../masks/rater1/{name}.png'; without it the paths are the data set's
    ``annotator_paths``, any number for each image. missing: 'error', or 'skip' for annotators who have no file for an
    image; one has to be there. label_map: {value in the files: class}; masks of 0 and 255 need one. Files are images of class ids, or .npy.

    Adds a map (H, W) for each annotator to the fields of labels, and ``gt_seg_map``, the class that most mark, the lowest
    of several; a pixel that one annotator ignores is ignored. ValueError or FileNotFoundError in one sentence.
    """

    def __init__(
        self,
        annotators: Sequence[str] | None = None,
        num_classes: int = 2,
        ignore_index: int | None = 255,
        missing: str = 'error',
        label_map: Mapping[int, int] | None = None,
    ) -> None:
        owner = type(self).__name__
        if annotators is not None and (
            not isinstance(annotators, (list, tuple))
            or not annotators
            or not all(isinstance(x, str) for x in annotators)
        ):
            raise SpecError(
                f'must be a list of paths, got {annotators!r}', owner=owner, parameter='annotators', given=annotators
            )
        self.annotators = None if annotators is None else list(annotators)
        self.num_classes = check_parameter(owner, 'num_classes', Integer(low=2), num_classes)
        self.ignore_index = check_parameter(owner, 'ignore_index', Optional(Integer()), ignore_index)
        self.missing = check_parameter(owner, 'missing', Choice('error', 'skip'), missing)
        numbers = (
            () if label_map is None else (*label_map, *label_map.values()) if isinstance(label_map, Mapping) else ('',)
        )
        if not all(type(x) is int for x in numbers):
            raise SpecError(
                f'must be a dictionary of integers, got {label_map!r}',
                owner=owner,
                parameter='label_map',
                given=label_map,
            )
        self.label_map = None if label_map is None else dict(label_map)
        try:
            self.paths_of('folder/name.png', {'annotator_paths': []})
        except (KeyError, IndexError, ValueError) as error:
            rule = f'must be paths with {{folder}}, {{parent}} and {{name}}, got {annotators!r} ({error})'
            raise SpecError(rule, owner=owner, parameter='annotators', given=annotators) from None

    def paths_of(self, image: str, results: Mapping[str, Any]) -> list[str]:
        """The paths of all annotators of an image, whether they are there or not."""
        if self.annotators is None:
            return [os.fspath(path) for path in results.get('annotator_paths') or ()]
        folder, file = os.path.split(image)
        about = dict(folder=folder, parent=os.path.basename(folder), name=os.path.splitext(file)[0])
        return [os.path.normpath(path.format(**about)) for path in self.annotators]

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        image, owner = results.get('img_path', ''), type(self).__name__
        paths = self.paths_of(image, results)
        there = [path for path in paths if os.path.isfile(path)]
        if self.missing == 'error' and len(there) < len(paths):
            absent = next(path for path in paths if path not in there)
            raise FileNotFoundError(f"{owner}: no file {absent!r} for {image!r}; missing='skip' goes on without it")
        if not there:
            raise FileNotFoundError(f'{owner}: no annotator of {image!r} has a file, looked for {paths}')
        maps = [self.read(path) for path in there]
        size = results['img'].shape[:2] if 'img' in results else maps[0].shape
        sizes = {
            tuple(size),
            tuple(results.get('ori_shape', size)),
        }  # the latter where an image is resized before, to test
        for path, one in zip(there, maps):
            if one.shape not in sizes or one.shape != maps[0].shape:
                raise ValueError(f'{owner}: {path!r} must be {size} as the image, got {one.shape}')
        maps = [of_data_set(one, results) for one in maps]
        for path, one in zip(there, maps):
            counts = np.ones_like(one, bool) if self.ignore_index is None else one != self.ignore_index
            try:
                check_ids(owner, one, counts, self.num_classes)
            except ValueError as error:
                raise ValueError(f'{error} ({path!r}, of image {image!r})') from None
        fields = results.setdefault('seg_fields', [])
        for number, one in enumerate(maps):
            results[f'{FIELD}{number}'] = one
            fields.append(f'{FIELD}{number}')
        given = dict(num_classes=self.num_classes, ignore_index=self.ignore_index)
        most = majority_of_annotators(maps, **given)
        results['gt_seg_map'] = most.astype(maps[0].dtype if maps[0].dtype.kind == 'u' else np.uint8)
        results['seg_map_path'], results[ABOUT] = there[0], given
        if self.annotators is not None:  # a data set's lists do not say whose maps they are
            results[NUMBERS] = [number for number, path in enumerate(paths) if path in there]
        fields.append('gt_seg_map')
        return results

    __call__ = transform

    def read(self, path: str) -> np.ndarray:
        """(H, W) the class ids of a file. ValueError for one of another kind."""
        if path.endswith('.npy'):
            try:
                found = np.load(path, allow_pickle=False)
            except ValueError:  # no array
                found = None
        else:
            import mmcv

            try:
                with open(path, 'rb') as file:
                    found = mmcv.imfrombytes(file.read(), flag='unchanged', backend='pillow')
            except (OSError, ValueError):  # no picture
                found = None
        if found is None or found.ndim != 2 or found.dtype.kind not in 'iub':
            got = 'no image' if found is None else f'{found.dtype} {found.shape}'
            raise ValueError(f'{type(self).__name__}: {path!r} must be class ids (H, W), got {got}')
        made = found.astype(np.int64)
        if self.label_map is None and self.ignore_index == MARKED and set(np.unique(made)) == {0, MARKED}:
            raise ValueError(
                f'{type(self).__name__}: {path!r} holds 0 and 255 alone, and 255 is ignored; label_map={{255: 1}} takes it '
                'for a mask, label_map={} for what is ignored'
            )
        for value, number in (self.label_map or {}).items():
            made[found == value] = number
        if made.size and not (made.min() >= 0 and made.max() <= 255):
            raise ValueError(
                f'{type(self).__name__}: {path!r} must hold labels from 0 to 255, got {made.min()} to {made.max()}'
            )
        return made.astype(np.uint8)

    def __repr__(self) -> str:
        return f'LoadAnnotatorMaps(annotators={self.annotators}, num_classes={self.num_classes})'


@TRANSFORMS.register_module()
class AverageAnnotators(metaclass=NamedParameters):
    """The soft labels of an image, the average of its annotators: after all that flips, resizes or cuts.

    weighting: 'uniform', or 'dice', by the agreement with most (two classes). ``PackSegInputsWithAnnotators`` hands
    them to the data sample as ``gt_soft_seg``, ``SoftLabelHook`` to the losses. ValueError without annotators.
    """

    def __init__(self, num_classes: int = 2, weighting: str = 'uniform', ignore_index: int | None = 255) -> None:
        self.num_classes = check_parameter('AverageAnnotators', 'num_classes', Integer(low=2), num_classes)
        self.ignore_index = check_parameter('AverageAnnotators', 'ignore_index', Optional(Integer()), ignore_index)
        check_weighting('AverageAnnotators', weighting, self.num_classes)
        self.weighting = weighting

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        maps = annotators_in('AverageAnnotators', results)
        if not maps:
            raise ValueError('AverageAnnotators: needs the maps of LoadAnnotatorMaps, which stands before it')
        given = dict(num_classes=self.num_classes, ignore_index=self.ignore_index)
        soft = average_annotators([one[None] for one in maps], self.weighting, **given)
        results[SOFT] = soft[0].astype(np.float32)
        return results

    __call__ = transform

    def __repr__(self) -> str:
        return f'AverageAnnotators(num_classes={self.num_classes}, weighting={self.weighting!r})'


@TRANSFORMS.register_module()
class PackSegInputsWithAnnotators(metaclass=NamedParameters):
    """``PackSegInputs`` of MMSegmentation, whose data sample also has what annotators say.

    ``gt_soft_seg`` (C, H, W), of which ``AverageAnnotators`` makes; without it ``gt_annotators`` (R, H, W), the class ids
    of each, which ``AnnotatorMetric`` compares predictions with, and whose they are, ``annotator_numbers``.
    """

    def __init__(self, meta_keys: Sequence[str] | None = None) -> None:
        from mmseg.datasets.transforms import PackSegInputs  # and the data sets: seconds that others need not wait

        self.pack = PackSegInputs() if meta_keys is None else PackSegInputs(meta_keys=meta_keys)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        maps = annotators_in('PackSegInputsWithAnnotators', results)
        packed = self.pack.transform(results)
        name = SOFT if SOFT in results else EACH
        if SOFT not in results and not maps:
            raise ValueError('PackSegInputsWithAnnotators: needs the maps of LoadAnnotatorMaps')
        found = results[SOFT] if SOFT in results else np.stack(maps)
        size = results['gt_seg_map'].shape
        if found.shape[-2:] != size:
            raise ValueError(
                f'PackSegInputsWithAnnotators: {name} is {found.shape[-2:]} and gt_seg_map {size}; AverageAnnotators '
                'stands after what resizes or cuts'
            )
        packed['data_samples'].set_field(PixelData(data=torch.from_numpy(np.ascontiguousarray(found))), name)
        if NUMBERS in results:
            packed['data_samples'].set_metainfo({NUMBERS: results[NUMBERS]})
        return packed

    __call__ = transform

    def __repr__(self) -> str:
        return f'PackSegInputsWithAnnotators(meta_keys={self.pack.meta_keys})'


def of_data_set(labels: np.ndarray, results: Mapping[str, Any]) -> np.ndarray:
    """Class ids as MMSegmentation's ``LoadAnnotations`` has them: by the data set's ``label_map`` and ``reduce_zero_label``."""
    found = labels.copy()
    if results.get('reduce_zero_label'):
        found = np.where(np.isin(labels, (0, 255)), 255, labels - 1).astype(labels.dtype)
    for old, new in (results.get('label_map') or {}).items():
        found[labels == old] = new
    return found


def annotators_in(owner: str, results: Mapping[str, Any]) -> list[np.ndarray]:
    """The maps of all annotators as they are now, padded as ``gt_seg_map`` is: ``Pad`` knows no other labels.

    ValueError where most of them no longer mark what ``gt_seg_map`` says, as after a transform that moves labels alone.
    """
    labels: Any = results.get('gt_seg_map')
    found: list[np.ndarray] = []
    for field in results.get('seg_fields', ()):
        if field.startswith(FIELD):
            one = results.get(field)
            if labels is None or one is None:
                raise ValueError(
                    f'{owner}: images with other numbers of annotators were put together, which has no meaning'
                )
            if one.shape != labels.shape and all(np.less_equal(one.shape, labels.shape)):
                padded = labels.copy()
                padded[: one.shape[0], : one.shape[1]] = one
                one = padded
            found.append(one)
    if found and any(one.shape != found[0].shape for one in found):
        raise ValueError(f'{owner}: the maps of the annotators have different sizes, {[one.shape for one in found]}')
    if (
        found
        and found[0].shape == labels.shape
        and not np.array_equal(majority_of_annotators(found, **results[ABOUT]), labels)
    ):
        raise ValueError(
            f'{owner}: gt_seg_map is no longer what most annotators mark; a transform has moved it alone, or has stood behind Pad'
        )
    return found
