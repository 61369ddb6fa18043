"""Another place of ``FineGrainedState``, which the documentation of the first version names."""

from shared_spec.metrics.fine_grained.state import FN, FP, TP, FineGrainedState, image_counts

__all__ = ['FN', 'FP', 'TP', 'FineGrainedState', 'image_counts']
