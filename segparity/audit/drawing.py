"""Small pictures from arrays: photographs, label maps and error maps, as bytes for the page and for PNG files."""

import dataclasses
import io

import numpy as np

from segparity.audit.window import Window
from segparity.pages.values import data_uri

RIGHT, HIT, MISSED, ALARM, OTHER, IGNORED = range(6)
KINDS = {
    MISSED: ('missed: labelled so, predicted otherwise', (242, 152, 28)),
    ALARM: ('false alarm: predicted so, labelled otherwise', (74, 176, 240)),
    HIT: ('right, this class', (158, 168, 182)),
    RIGHT: ('right, another class', (46, 52, 64)),
    OTHER: ('other classes confused', (116, 92, 128)),
    IGNORED: ('ignored', (236, 236, 236)),
}
FRAME = (255, 221, 0)
HATCH = (150, 150, 150)  # stripes on ignored pixels
TALLEST = 2  # a picture is at most this many times as high as wide


@dataclasses.dataclass(frozen=True)
class Picture:
    """An encoded picture and its size in pixels."""

    data: bytes
    mime: str
    width: int
    height: int

    @property
    def uri(self) -> str:
        return data_uri(self.data, self.mime)


def shown_shape(shape: tuple[int, ...], size: int) -> tuple[int, int]:
    """(height, width) in which a part of this shape is shown: ``size`` wide unless that is too high."""
    scale = min(size / shape[1], TALLEST * size / shape[0])
    return max(1, round(scale * shape[0])), max(1, round(scale * shape[1]))


def photo_picture(
    photo: np.ndarray, window: Window | None, shape: tuple[int, ...], size: int, frame: Window | None = None
) -> Picture:
    """JPEG of a part of uint8 (H, W, 3). ``window`` and ``frame``, a rectangle drawn around a part, are given in pixels
    of label maps of ``shape``, which the photograph need not have."""
    from PIL import Image, ImageDraw

    top, left, bottom, right = window or (0, 0, *shape)
    scale = np.array([photo.shape[0] / shape[0], photo.shape[1] / shape[1]])
    (y0, x0), (y1, x1) = scale * (top, left), scale * (bottom, right)
    height, width = shown_shape((bottom - top, right - left), size)
    image = Image.fromarray(photo).resize(
        (width, height), Image.Resampling.BICUBIC, box=(x0, y0, x1, y1), reducing_gap=3
    )
    if frame is not None:
        scale = np.array([height / shape[0], width / shape[1]])
        (y0, x0), (y1, x1) = scale * frame[:2], scale * frame[2:]
        draw = ImageDraw.Draw(image)
        draw.rectangle((x0 - 3, y0 - 3, x1 + 3, y1 + 3), outline='black', width=4)
        draw.rectangle((x0 - 2, y0 - 2, x1 + 2, y1 + 2), outline=FRAME, width=2)
    buffer = io.BytesIO()
    image.save(buffer, 'jpeg', quality=82, optimize=True)
    return Picture(buffer.getvalue(), 'image/jpeg', width, height)


def label_picture(labels: np.ndarray, window: Window | None, size: int, colours: np.ndarray) -> Picture:
    """PNG of a part of ids (H, W) in ``colours`` (K, 3); an id without a colour takes the last."""
    ids = nearest(labels, window, size)
    ids = np.where((ids >= 0) & (ids < len(colours) - 1), ids, len(colours) - 1)
    return coloured(ids, colours)


def error_picture(kinds: np.ndarray, window: Window | None, size: int) -> Picture:
    """PNG of a part of kinds (H, W); ignored pixels are hatched."""
    kinds = nearest(kinds, window, size)
    rows, columns = np.indices(kinds.shape, sparse=True)  # type: ignore[misc]  # NumPy says ()
    kinds = np.where((kinds == IGNORED) & ((rows + columns) % 8 < 2), len(KINDS), kinds)
    return coloured(kinds, np.array([*(KINDS[k][1] for k in range(len(KINDS))), HATCH], np.uint8))


def error_kinds(pred: np.ndarray, truth: np.ndarray, class_id: int) -> np.ndarray:
    """uint8 (H, W): what happened to each pixel, seen from one class; ignored pixels have truth -1."""
    kinds = np.where(pred == truth, RIGHT, OTHER).astype(np.uint8)
    labelled, predicted = truth == class_id, pred == class_id
    kinds[labelled & predicted] = HIT
    kinds[labelled & ~predicted] = MISSED
    kinds[predicted & ~labelled] = ALARM
    kinds[truth == -1] = IGNORED
    return kinds


def nearest(ids: np.ndarray, window: Window | None, size: int) -> np.ndarray:
    """The part of the map at the size in which it is shown, every pixel one of the map's own."""
    top, left, bottom, right = window or (0, 0, *ids.shape)
    height, width = shown_shape((bottom - top, right - left), size)
    rows = top + ((np.arange(height) + 0.5) * (bottom - top) / height).astype(int)
    columns = left + ((np.arange(width) + 0.5) * (right - left) / width).astype(int)
    return ids[rows[:, None], columns]


def coloured(ids: np.ndarray, colours: np.ndarray) -> Picture:
    """PNG of ids with these colours, indexed where a byte holds them."""
    from PIL import Image

    if len(colours) <= 256:
        image = Image.fromarray(ids.astype(np.uint8))
        image.putpalette(colours.astype(np.uint8).tobytes())
    else:
        image = Image.fromarray(colours.astype(np.uint8)[ids])
    buffer = io.BytesIO()
    image.save(buffer, 'png', optimize=True)
    return Picture(buffer.getvalue(), 'image/png', image.width, image.height)
