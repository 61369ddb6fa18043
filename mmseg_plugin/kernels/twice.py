"""What is said where a gradient that is written by hand would have to be differentiated again."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

AGAIN = (
    'the gradient of sums over blocks of pixels cannot be differentiated again: '
    'with SEGPARITY_OVERLAP=plain in the environment it can'
)


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """As PyTorch's: what ``backward`` of a Function returns raises RuntimeError when it is differentiated, in our words."""

    @functools.wraps(backward)
    def wrapper(ctx: Any, *grads: Tensor) -> Any:
        with torch.no_grad():
            found = backward(ctx, *grads)
        if not torch.is_grad_enabled() or not any(g is not None and g.requires_grad for g in grads):
            return found
        results = found if isinstance(found, tuple) else (found,)
        refuse = torch._C._functions.DelayedError(AGAIN.encode(), len(results))
        given: Any = (None if x is None else x.detach().requires_grad_() for x in results)
        marked = refuse(*given)
        return tuple(marked) if isinstance(found, tuple) else marked

    return wrapper
