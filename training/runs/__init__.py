"""A run's life: the edge of the command line, lock, checkpoints, record, provenance, tracking.
Imports all below it, `loop.py` and `trainer.py` included."""
