"""Axial slices of the MNI 152 template that nilearn ships: T1 and the probabilities of grey and white matter.

One averaged, symmetric brain: slices of its two halves mirror each other, and neighbours are nearly the same. So train
and test slices lie in blocks with ``GAP`` slices between them that are in neither.
"""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from segparity.study.data import Split, StudyData
from segparity.study.settings import Settings, StudyError
from shared_spec.files import one_sentence

CLASSES = ('rest', 'grey matter', 'white matter')
FILES = {part: f'mni_icbm152_{part}_tal_nlin_sym_09a_converted.nii.gz' for part in ('t1', 'gm', 'wm')}
SHAPE = (197, 233, 189)
GAP = 8  # slices of 1 mm
TEST_BLOCKS = (range(50, 66), range(100, 116))
TRAIN_BLOCKS = (range(20, 42), range(74, 92), range(124, 150))
CUT = (slice(2, 194), slice(4, 228))  # (192, 224): the network halves three times
NOISE = (0.02, 0.12)  # standard deviation, of intensities in [0, 1]


def brain_slices(settings: Settings) -> StudyData:
    """Soft: the template's probabilities, the rest is 1 - GM - WM. Hard: the most probable class."""
    return slices_of(read_volumes(template_folder()), settings)


def template_folder() -> Path:
    """The folder of the installed nilearn that holds the template; nilearn itself is not imported."""
    missing = [name for name in ('nilearn', 'nibabel') if importlib.util.find_spec(name) is None]
    if missing:
        raise StudyError(
            f"the brain slices need {' and '.join(missing)}: pip install 'segparity[study]', "
            'or leave them out with --data digits-smoothed,digits-annotators'
        )
    spec = importlib.util.find_spec('nilearn')
    places = [Path(root) / 'datasets' / 'data' for root in (spec.submodule_search_locations or ())] if spec else []
    for place in places:
        if all((place / name).is_file() for name in FILES.values()):
            return place
    raise StudyError(
        f"the installed nilearn ships no {FILES['t1']}: pip install 'segparity[study]' brings a version that does"
    )


def read_volumes(folder: Path) -> dict[str, np.ndarray]:
    """'t1', 'gm' and 'wm' -> uint8 (197, 233, 189)."""
    import nibabel

    found = {}
    for part, name in FILES.items():
        with one_sentence(f'{folder / name} is no volume', StudyError):
            found[part] = np.asanyarray(nibabel.Nifti1Image.from_filename(folder / name).dataobj)
        if found[part].shape != SHAPE or found[part].dtype != np.uint8:
            raise StudyError(
                f'{folder / name} must be uint8 {SHAPE}, got {found[part].dtype} {tuple(found[part].shape)}'
            )
    return found


def slices_of(volumes: Mapping[str, np.ndarray], settings: Settings) -> StudyData:
    """Train slices as they are, for augmentation in every step; test slices each with one noise and one intensity."""
    train, test = (split_of(volumes, blocks) for blocks in (TRAIN_BLOCKS, TEST_BLOCKS))
    rng = np.random.default_rng([settings.data_seed, 13])
    seen = np.stack([scanned(rng, image) for image in test.images])
    side = settings.side

    def augment(rng: np.random.Generator, image: np.ndarray, soft: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        top, left = (int(rng.integers(size - side + 1)) for size in image.shape[1:])
        area = np.s_[:, top : top + side, left : left + side]
        return scanned(rng, image[area]), soft[area]

    title = 'Brain slices, tissue probabilities'
    return StudyData(title, CLASSES, train, Split(seen, test.soft, test.hard), augment)


def split_of(volumes: Mapping[str, np.ndarray], blocks: tuple[range, ...]) -> Split:
    """The slices of some blocks: images in [0, 1], one channel."""
    numbers = [number for block in blocks for number in block]
    parts = {k: volume[CUT][..., numbers].transpose(2, 0, 1) for k, volume in volumes.items()}
    tissue = np.stack([parts['gm'], parts['wm']], 1).astype(np.float32) / 255
    soft = np.concatenate([1 - tissue.sum(1, keepdims=True), tissue], 1).clip(0, 1)
    return Split(parts['t1'][:, None].astype(np.float32) / 255, soft, soft.argmax(1))


def scanned(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """An image in [0, 1] as another scanner might have it: contrast, brightness, noise; about -1 to 1."""
    contrast, brightness, noise = rng.uniform(0.8, 1.2), rng.uniform(-0.1, 0.1), rng.uniform(*NOISE)
    gamma = np.exp(rng.uniform(-0.3, 0.3))
    seen = contrast * image**gamma + brightness + rng.normal(0, noise, image.shape)
    return (2 * seen - 1).astype(np.float32)
