"""Boundary IoU and surface distances: the specs with their references, and the state that merges, of both."""

from shared_spec.metrics.boundary.spec import DISTANCES, BoundaryIoU, SurfaceDistance
from shared_spec.metrics.boundary.state import BoundaryState

__all__ = ['DISTANCES', 'BoundaryIoU', 'BoundaryState', 'SurfaceDistance']
