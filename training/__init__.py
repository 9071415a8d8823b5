"""How a row is trained: `trainer.py` is a run, `loop.py` trains it. Rooms from the ground up:
settings, process, recipe, then weights and engines, trainer.py, loop.py, runs, then bench and
counts; each imports lower ones, `records/`, `data/` and `models/`."""
