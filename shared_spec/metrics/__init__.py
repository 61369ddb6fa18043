"""Specs of the metrics room; see shared_spec.LOSSES and shared_spec.METRICS."""
