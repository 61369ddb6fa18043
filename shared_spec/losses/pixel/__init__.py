"""Specs of the pixel room; see shared_spec.LOSSES and shared_spec.METRICS."""
