"""Evaluators, registered in MMSegmentation's METRICS; every module in this package is imported."""

import importlib
import pkgutil

from mmseg_plugin import host

host.require()

for _found in pkgutil.iter_modules(__path__, __name__ + '.'):
    importlib.import_module(_found.name)
