"""The Lovasz extension: ``extension`` is the operator, ``rows`` sorts on the CPU."""
