"""What the losses and metrics cost, beside their peers: ``make bench`` or ``python -m benchmarks`` measures everything.

Every area is a file that also runs on its own (``python -m benchmarks.overlap --help``). All of them time, measure
memory and write tables with the same code: timing.py, memory.py, tables.py.
"""
