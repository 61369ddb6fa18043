"""What workers run: a function of these files, recognised in their framework."""

import importlib

from segparity import recognise
from segparity.recognise.report import as_json, lines


def recognised(arrays, module, name, classes=None):
    """The JSON of a recognition, and its text."""
    found = recognise(getattr(importlib.import_module(module), name), classes, name=name)
    return {**as_json(found), 'lines': lines(found)}, {}
