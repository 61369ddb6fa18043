"""Two models on the same images: whether their saved outputs, their labels or their losses differ, and where."""

from segparity.parity.models.comparison import Found, compare_models

__all__ = ['Found', 'compare_models']
