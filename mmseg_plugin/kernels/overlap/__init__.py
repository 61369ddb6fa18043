"""tp, fp, fn from logits: ``choice`` says how, ``fused`` is the operator, ``cpu`` and ``triton_launch`` do the work."""
