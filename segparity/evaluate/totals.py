"""The rows of all images, and what follows from them: nothing depends on the order in which they came."""

import functools
from typing import Any

import numpy as np

from segparity.evaluate.settings import Settings
from shared_spec.metrics.boundary import BoundaryState
from shared_spec.metrics.calibration import CalibrationState
from shared_spec.metrics.fine_grained import FineGrainedState

MASKS = ('boundary', 'distances')  # the two parts that one state keeps
ROW = {'overlap': ('counts',), 'masks': ('boundary', 'distances', 'diagonal'), 'calibration': ('cells',)}


class Totals:
    """The rows of images, as ``work.measure`` gives them, under ``settings``."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.specs = settings, settings.specs()
        self.rows: dict[str, dict[str, np.ndarray]] = {}  # image -> its row
        self.files: dict[str, tuple[str, str]] = {}  # image -> (path of the prediction, of the ground truth)

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, image: str, files: tuple[str, str], row: dict[str, np.ndarray]) -> bool:
        """Adds an image; says whether it was new. Raises ValueError where it is there with other counts."""
        if image in self.rows:
            if not np.array_equal(self.rows[image]['counts'], row['counts']):
                raise ValueError(
                    f'the image {image!r} has two different predictions or ground truths, {" of ".join(self.files[image])} '
                    f'and {" of ".join(files)}; where they are two images, evaluate with --root, which makes their names '
                    'differ'
                )
            return False
        self.rows[image], self.files[image] = row, files
        return True

    @functools.cached_property
    def images(self) -> list[str]:
        """The identities, in the order of every output. To be asked for once all images are added."""
        return sorted(self.rows)

    @functools.cached_property
    def states(self) -> dict[str, Any]:
        """The mergeable states, with the images in that order. Raises ValueError where a row is none."""
        n, ignored = self.settings.num_classes, self.settings.ignore_index
        found: dict[str, Any] = {'overlap': FineGrainedState(n, ignored)}
        masks = [self.specs[part] for part in MASKS if part in self.specs]
        if masks:
            found['masks'] = BoundaryState.for_specs(*masks)
        if 'calibration' in self.specs:
            found['calibration'] = CalibrationState(n, ignored, self.settings.bins)
        for image in self.images:
            for name, state in found.items():
                state.add(*(self.rows[image][key] for key in ROW[name]), image)
        return found

    def state(self, part: str) -> Any:
        """The state from which the spec of a part takes its results; 'boundary' and 'distances' have one together."""
        return self.states['masks' if part in MASKS else part]

    def results(self) -> dict[str, float]:
        """Name -> value of every part, in order: fractions, and distances in the unit of the spacing."""
        found = {}
        for part, spec in self.specs.items():
            found.update(self.state(part).results(spec))
        return found

    def per_class(self) -> dict[str, np.ndarray]:
        """Name -> (classes,) values of every part."""
        found = {}
        for part, spec in self.specs.items():
            found.update(self.state(part).per_class(spec))
        return found

    def cells(self) -> dict[str, np.ndarray]:
        """Column of the per-image table -> (images, classes) or (images,) values."""
        more = tuple(m for m in ('mPrecision', 'mFscore') if m in self.settings.metrics)
        overlap = self.settings.replace(metrics=('mAcc', 'mIoU', 'mDice', *more)).specs()['overlap']
        found = self.states['overlap'].cells(overlap)
        for part in MASKS:
            if part in self.specs:
                found.update(self.state(part).cells(self.specs[part]))
        if 'calibration' in self.specs:
            errors = self.state('calibration').cells(self.specs['calibration'])
            found.update(SCE=errors['SCE'], ECE=errors['ECE'])
        return found

    def without_pixel(self) -> int:
        """How many images have no valid pixel, and so count nowhere."""
        return sum(not row['counts'].any() for row in self.rows.values())

    def predicted_as_none(self) -> int | None:
        """How many pixels with a class are predicted as none, where those are wrong; None where they are an error, and
        where labels of no class hide the number."""
        if self.settings.unknown_pred == 'error' or self.settings.unknown == 'count':
            return None
        _, fp, fn = self.states['overlap'].counts.sum((0, 1)).tolist()
        return fn - fp

    def labelled(self) -> np.ndarray:
        """(classes,) in how many images the ground truth has each class."""
        counts = self.states['overlap'].counts
        return ((counts[..., 0] + counts[..., 2]) > 0).sum(0)
