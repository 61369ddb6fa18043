"""Operators on plain values, bounded; TooMuch beyond a limit, else the errors of Python."""

import ast
import operator
import re
from collections.abc import Callable
from typing import Any

from segparity.migrate.reading.values import Limits
from segparity.migrate.reading.weight import TooMuch

BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.BitAnd: operator.and_,
    ast.MatMult: operator.matmul,
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}
COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: operator.contains(b, a),
    ast.NotIn: lambda a, b: not operator.contains(b, a),
}
CONVERSION = re.compile(r'%(?:\([^)]*\))?([-#0 +\d.*]*)')
SEQUENCES = (str, bytes, list, tuple)


def binary(kind: type[ast.operator], a: Any, b: Any, limits: Limits) -> Any:
    """``a + b`` and so on of plain values that were weighed."""
    if kind is ast.Mod and isinstance(a, (str, bytes)):
        return percent(a, b, limits)
    if kind is ast.Add and isinstance(a, SEQUENCES) and isinstance(b, SEQUENCES):
        bounded(len(a) + len(b), a, limits)
    if kind is ast.Mult:
        for sequence, times in ((a, b), (b, a)):
            if isinstance(sequence, SEQUENCES) and isinstance(times, int):
                bounded(len(sequence) * max(int(times), 0), sequence, limits)
    if isinstance(a, int) and isinstance(b, int):
        if kind is ast.Pow and (abs(b) > limits.bits or a.bit_length() * abs(b) > limits.bits):
            if abs(a) > 1:
                raise TooMuch('the number is too large')
        elif kind is ast.LShift and (b > limits.bits or a.bit_length() + b > limits.bits):
            raise TooMuch('the number is too large')
    return small(BINARY[kind](a, b), limits)


def small(value: Any, limits: Limits) -> Any:
    """The value, where it is no integer beyond the limit."""
    if isinstance(value, int) and value.bit_length() > limits.bits:
        raise TooMuch('the number is too large')
    return value


def bounded(length: int, like: Any, limits: Limits) -> None:
    """TooMuch where a text or collection would be too long."""
    if length > (limits.length if isinstance(like, (str, bytes)) else limits.size):
        raise TooMuch('the value is too large')


def percent(text: str | bytes, values: Any, limits: Limits) -> Any:
    """``text % values`` without widths that make a picture of it."""
    shown = text if isinstance(text, str) else text.decode('latin-1')
    for spec in CONVERSION.findall(shown):
        if '*' in spec:
            raise TooMuch('its format has a width that is given by a value')
        modest(spec)
    kept: Any = text  # of either kind
    return limited(kept % values, limits)


def formatted(value: Any, spec: str, limits: Limits) -> str:
    """``format(value, spec)`` of a scalar; of a collection without a spec."""
    modest(spec)
    return str(limited(format(value, spec), limits))


def modest(spec: str) -> None:
    """TooMuch where a format has a number of four digits or more: a width or precision that only fills memory."""
    digits = 0
    for letter in spec:
        digits = digits + 1 if letter.isdigit() else 0
        if digits > 3:
            raise TooMuch('its format is too wide')


def limited(value: Any, limits: Limits) -> Any:
    """The text, where it is not too long."""
    bounded(len(value), value, limits)
    return value
