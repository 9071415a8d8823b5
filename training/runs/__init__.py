"""The life of a run: command line, lock, checkpoints, record, provenance, tracking.
Imports all below it, `loop.py` and `trainer.py` included."""
