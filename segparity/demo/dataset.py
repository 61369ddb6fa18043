"""The scenes on disk, in MMSegmentation's folder layout, and their way back into arrays.

data/img_dir/{train,val}/0000.png    RGB images
data/ann_dir/{train,val}/0000.png    label maps, palette PNG: 0 to 4, 255 is ignored
data/manifest.json                   the hash of every file: what is missing or damaged is noticed and rewritten
"""

import hashlib
import io
import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from segparity.demo import scenes
from segparity.demo.settings import (
    IGNORE,
    NUM_CLASSES,
    PALETTE,
    DemoError,
    Settings,
    fingerprint,
    read_json,
    write_json,
)
from shared_spec.files import one_sentence, replacing

SPLITS = ('train', 'val')


def data_fingerprint(settings: Settings) -> str:
    """Says which images these settings and this code make."""
    return fingerprint(settings.data(), hashlib.sha256(Path(scenes.__file__).read_bytes()).hexdigest())


def colour_table() -> np.ndarray:
    """(256, 3) uint8: the classes' colours, white for ignored."""
    table = np.zeros((256, 3), np.uint8)
    table[:NUM_CLASSES] = PALETTE
    table[IGNORE] = 255
    return table


def png(array: np.ndarray, palette: np.ndarray | None = None) -> bytes:
    """An array as PNG bytes; with a palette as label map."""
    image = Image.fromarray(array)
    if palette is not None:
        image.putpalette(palette.tobytes())  # turns an 8-bit grey image into a palette image, values kept
    buffer = io.BytesIO()
    image.save(buffer, 'png')
    return buffer.getvalue()


def is_complete(root: Path, wanted: str) -> bool:
    """Whether every file of the manifest is there, undamaged, and of the wanted fingerprint."""
    manifest = read_json(root / 'manifest.json')
    if not isinstance(manifest, dict) or manifest.get('fingerprint') != wanted:
        return False
    if {path.relative_to(root).as_posix() for path in root.glob('*_dir/*/*')} != set(manifest['files']):
        return False
    try:
        return all(hashlib.sha256((root / name).read_bytes()).hexdigest() == h for name, h in manifest['files'].items())
    except OSError:
        return False


def write_data(out: str | Path, settings: Settings) -> bool:
    """Make sure that ``out``/data holds the scenes; returns whether they had to be written.

    Everything goes to a folder beside it that takes the name at the end, so that a killed run leaves no half data set.
    """
    root, wanted = Path(out) / 'data', data_fingerprint(settings)
    if is_complete(root, wanted):
        return False
    part = root.with_name('data.part')
    shutil.rmtree(part, ignore_errors=True)
    files, glyphs = {}, {}
    for split in SPLITS:
        for number, scene in enumerate(scenes.make_scenes(settings, split)):
            pair = {'img_dir': png(scene.image), 'ann_dir': png(scene.labels, colour_table())}
            for folder, content in pair.items():
                name = f'{folder}/{split}/{number:04d}.png'
                files[name] = hashlib.sha256(content).hexdigest()
                with replacing(part / name) as file:
                    file.write_bytes(content)
            glyphs[f'{split}/{number:04d}'] = scene.glyphs
    write_json(part / 'manifest.json', {'fingerprint': wanted, 'files': files, 'glyphs': glyphs})
    shutil.rmtree(root, ignore_errors=True)
    os.replace(part, root)
    return True


def read_image(path: str | Path) -> np.ndarray:
    """(H, W, 3) uint8; an unreadable file is one sentence."""
    with one_sentence(f'{path}: not a readable image', DemoError), Image.open(path) as image:
        return np.asarray(image.convert('RGB'))


def read_labels(path: str | Path) -> np.ndarray:
    """(H, W) uint8 class ids; a file that is no label map is one sentence."""
    with one_sentence(f'{path}: not a readable label map', DemoError), Image.open(path) as image:
        labels, mode = np.array(image), image.mode
    if mode not in ('L', 'P'):
        raise DemoError(f'{path}: a label map has one 8-bit channel of class ids, this image has mode {mode}')
    strange = np.setdiff1d(labels, [*range(NUM_CLASSES), IGNORE])
    if strange.size:
        raise DemoError(
            f'{path}: label {strange[0]} is neither a class (0 to {NUM_CLASSES - 1}) nor ignored ({IGNORE})'
        )
    return labels


def read_logits(out: str | Path, model: str) -> np.ndarray:
    """What a model said of the validation split, float32 (N, C, H, W)."""
    path = Path(out) / model / 'val_logits.npy'
    with one_sentence(f'{path}: not the logits of a model', DemoError):
        return np.load(path, allow_pickle=False)


def read_split(out: str | Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H, W, 3) and label maps (N, H, W) of a split, uint8, in the order of the file names."""
    root = Path(out) / 'data'
    names = sorted(path.name for path in (root / 'img_dir' / split).glob('*.png'))
    if not names:
        raise DemoError(f'{root / "img_dir" / split}: no images')
    images = np.stack([read_image(root / 'img_dir' / split / name) for name in names])
    labels = np.stack([read_labels(root / 'ann_dir' / split / name) for name in names])
    return images, labels
