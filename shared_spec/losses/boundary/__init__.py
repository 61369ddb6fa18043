"""Specs of the boundary room; see shared_spec.LOSSES and shared_spec.METRICS."""
