"""A loss of ours against another implementation of what may be the same: values, gradients, and the reason in words."""

from segparity.parity.against.comparison import Comparison, compare
from segparity.parity.against.opponents import Opponent, UserFunction, opponent

__all__ = ['Comparison', 'Opponent', 'UserFunction', 'compare', 'opponent']
