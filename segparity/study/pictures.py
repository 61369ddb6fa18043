"""Pictures of the page: an image, and shares of classes as a mixture of the classes' colours, as ``data:`` URIs."""

from typing import Any

import numpy as np

from segparity.demo.dataset import png
from segparity.demo.pictures import picture
from segparity.demo.settings import PALETTE
from segparity.pages.values import css_colour, data_uri
from segparity.study.data import Split

SMALL = 128  # pixels: what is smaller is enlarged


def example(split: Split) -> int:
    """The number of the image that the page shows: one in the middle of the second half."""
    return 3 * len(split.images) // 4


def image_picture(image: np.ndarray) -> str:
    """An image (1 or 3, H, W), about -1 to 1."""
    bytes_ = (127.5 + 63.75 * image).clip(0, 255) if len(image) == 3 else (127.5 * (image + 1)).clip(0, 255)
    return sized(np.broadcast_to(bytes_.astype(np.uint8), (3, *image.shape[1:])).transpose(1, 2, 0))


def share_picture(shares: np.ndarray) -> str:
    """Shares (C, H, W) that sum to 1, the colours of the classes mixed by them."""
    colours = np.array(PALETTE[: len(shares)], np.float32)
    mixed = np.einsum('chw,ck->hwk', shares, colours)
    return sized(mixed.round().clip(0, 255).astype(np.uint8))


def sized(array: np.ndarray) -> str:
    """(H, W, 3) uint8, enlarged where it is small."""
    array = np.ascontiguousarray(array)
    return picture(array) if array.shape[0] < SMALL else data_uri(png(array), 'image/png')


def class_legend(classes: tuple[str, ...] | list[str]) -> list[tuple[Any, str]]:
    """(name, colour) of each class."""
    return list(zip(classes, map(css_colour, PALETTE)))
