"""MMSegmentation's visualizer draws on pictures of any memory layout."""

from typing import Any

import numpy as np

from mmseg_plugin.late_patch import patch_when_defined


def draw_on_any_layout() -> bool:
    """``browse_dataset`` works: it hands over pictures whose channels are planes, on which OpenCV refuses to draw.

    MMSegmentation 1.2 makes the canvas in the picture's own layout.
    """
    from mmengine.visualization import Visualizer

    patch_when_defined(Visualizer, 'mmseg.visualization.local_visualizer', 'SegLocalVisualizer', mend)
    return True


def mend(cls: Any) -> None:
    draw = cls._draw_sem_seg

    def draw_sem_seg(self: Any, image: np.ndarray, *args: Any, **kwargs: Any) -> np.ndarray:
        return draw(self, np.ascontiguousarray(image), *args, **kwargs)

    cls._draw_sem_seg = draw_sem_seg
