"""Values and gradients of every installed implementation beside the NumPy reference."""

from segparity.parity.check import Row, check_parity

__all__ = ['Row', 'check_parity']
