"""Specs of the losses room; see shared_spec.LOSSES and shared_spec.METRICS."""
