"""Small data sets in files, and what the references say of them."""

import os

import numpy as np
from PIL import Image

from segparity.cli import main
from shared_spec import METRICS

CLASSES = 4
IGNORED = 255


def label_maps(number, seed=0, classes=CLASSES, shape=(12, 15)):
    """(preds, targets): blocks of classes, predictions shifted and noisy, a border of ignored pixels."""
    rng = np.random.default_rng(seed)
    preds, targets = [], []
    for _ in range(number):
        blocks = rng.integers(0, classes, [-(-n // 3) for n in shape])
        target = blocks.repeat(3, 0).repeat(3, 1)[: shape[0], : shape[1]].astype(np.uint8)
        noise = rng.random(shape) < 0.1
        pred = np.where(noise, rng.integers(0, classes, shape), np.roll(target, 1, 0)).astype(np.uint8)
        target[0] = IGNORED
        preds.append(pred)
        targets.append(target)
    return preds, targets


def probabilities(number, seed=0, classes=CLASSES, shape=(12, 15)):
    """float32 (classes, *shape) that sum to 1."""
    rng = np.random.default_rng(seed)
    raw = rng.random((number, classes, *shape)).astype(np.float32) ** 3
    return list(raw / raw.sum(1, keepdims=True))


def save(path, array):
    """Writes a map in the format that the path's suffix names; a 3-D TIFF has a page for each slice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.npy':
        np.save(path, array)
    elif path.suffix == '.npz':
        np.savez(path, prob=array)
    elif array.ndim == 3 and array.shape[-1] not in (3, 4):
        first, *others = [Image.fromarray(page) for page in array]
        first.save(path, save_all=True, append_images=others)
    else:
        Image.fromarray(array).save(path)
    return path


def data_set(folder, preds, targets, suffix='.png', gt_suffix='.png'):
    """Writes folder/pred and folder/gt, images in two sub-folders; returns their names as arguments of the command."""
    for k, (pred, target) in enumerate(zip(preds, targets)):
        save(folder / 'pred' / 'ab'[k % 2] / f'{k:03}{suffix}', pred)
        save(folder / 'gt' / 'ab'[k % 2] / f'{k:03}{gt_suffix}', target)
    return [str(folder / 'pred'), str(folder / 'gt')]


def flips(path, every=1):
    """(place, bit) of every bit of a file, or of every ``every``-th, which is flipped there until the next is asked for.

    In place: a file that is truncated and written anew waits for the disk.
    """
    with path.open('r+b', buffering=0) as stream:
        for number in range(0, 8 * path.stat().st_size, every):
            place, bit = divmod(number, 8)
            byte = os.pread(stream.fileno(), 1, place)[0]
            os.pwrite(stream.fileno(), bytes([byte ^ 1 << bit]), place)
            yield place, bit
            os.pwrite(stream.fileno(), bytes([byte]), place)


def reference(name, preds, targets, **params):
    """What a spec's reference says of arrays."""
    return METRICS[name](**params).reference(preds, targets)


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def refusal(capsys, *arguments):
    """The one sentence with which a command refuses its input."""
    code, out, err = run(capsys, *arguments)
    assert code == 2 and not out, (code, out, err)
    assert err.startswith('segparity: ') and err.count('\n') == 1, err
    return err
