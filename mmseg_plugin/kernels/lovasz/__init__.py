"""The Lovasz extension: ``extension`` is the operator, ``rows`` sorts on the CPU, ``counts`` is for many ranks."""
