"""Fine-grained overlap metrics: the spec with its reference, and the state that merges."""

from shared_spec.metrics.fine_grained.spec import FineGrained
from shared_spec.metrics.fine_grained.state import FineGrainedState

__all__ = ['FineGrained', 'FineGrainedState']
