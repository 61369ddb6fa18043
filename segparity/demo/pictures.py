"""The pictures of the page: scenes, label maps and mistakes as data URIs, no file beside the page."""

import numpy as np

from segparity.demo.dataset import colour_table, png
from segparity.demo.settings import IGNORE, NUM_CLASSES
from segparity.pages.values import data_uri

SCALE = 3
WRONG, RIGHT, LEFT_OUT = (240, 100, 20), (46, 52, 64), (150, 155, 165)


def picture(array: np.ndarray, palette: np.ndarray | None = None) -> str:
    """An image (H, W, 3), or (H, W) with a palette, enlarged with nearest neighbours, as ``data:`` URI."""
    enlarged = array.repeat(SCALE, 0).repeat(SCALE, 1)
    return data_uri(png(enlarged, palette), 'image/png')


def label_picture(labels: np.ndarray) -> str:
    """Class ids (H, W) in the colours of the label maps, as ``data:`` URI."""
    return picture(labels.astype(np.uint8), colour_table())


def mistakes_picture(pred: np.ndarray, labels: np.ndarray) -> str:
    """Wrong pixels bright, right ones dark, ignored ones grey."""
    kinds = np.where(labels == IGNORE, 2, np.where(pred == labels, 0, 1)).astype(np.uint8)
    palette = np.zeros((256, 3), np.uint8)
    palette[:3] = RIGHT, WRONG, LEFT_OUT
    return picture(kinds, palette)


def image_scores(pred: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) mIoU of each image over the classes it shows, by the spec's reference."""
    import shared_spec

    spec = shared_spec.METRICS['FineGrained'](
        num_classes=NUM_CLASSES, ignore_index=IGNORE, levels=('I',), metrics=('mIoU',)
    )
    return np.array([spec.reference(pred[i : i + 1], labels[i : i + 1])['mIoUI'] for i in range(len(labels))])
