"""Specs of the compound room; see shared_spec.LOSSES and shared_spec.METRICS."""
