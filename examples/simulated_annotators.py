"""Label maps of three annotators who see the demo's scenes differently: one draws tightly, one widely, one is a pixel off.

    python examples/simulated_annotators.py demo_out/data

writes `annotators/rater1` to `rater3` beside `ann_dir`, for configs/soft_labels/digits_unet_annotators.py.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

IGNORED = 255


def drawn(labels: np.ndarray, rater: int) -> np.ndarray:
    """(H, W) what an annotator, 0 to 2, makes of the labels (H, W): every object smaller, larger or moved by a pixel."""
    found = np.zeros_like(labels)
    for label in np.unique(labels[(labels != 0) & (labels != IGNORED)]):
        own = labels == label
        if rater == 0:
            seen = ndimage.binary_erosion(own) if own.sum() > 20 else own
        elif rater == 1:
            seen = ndimage.binary_dilation(own)
        else:
            seen = np.roll(own, 1, axis=1)
        found[seen & (found == 0)] = label
    return found


def main(data: str) -> None:
    root = Path(data)
    for path in sorted((root / 'ann_dir').glob('*/*.png')):
        labels = np.asarray(Image.open(path))
        for rater in range(3):
            target = root / 'annotators' / f'rater{rater + 1}' / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(drawn(labels, rater)).save(target)


if __name__ == '__main__':
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / 'ann_dir').is_dir():
        sys.exit('usage: python examples/simulated_annotators.py FOLDER, which has ann_dir, such as demo_out/data')
    main(sys.argv[1])
