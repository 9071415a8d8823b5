"""What `command` in conftest.py forks its processes from: all that they need is imported here, and
lies beyond the reach of Python's garbage collector, whose every look would copy it."""

import gc

import sklearn.datasets  # noqa: F401

import tests.conftest  # noqa: F401
import training.runs.entry
import training.runs.run  # noqa: F401

gc.collect()
gc.freeze()
