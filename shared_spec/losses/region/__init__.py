"""Specs of the region room; see shared_spec.LOSSES and shared_spec.METRICS."""
