"""How a row is trained: `trainer.py` holds the state of a run, `loop.py` trains it.

The call path of one iteration: `job` in train.py, `Training` in runs/run.py, `train` in loop.py,
`Trainer.train_iteration`, the step that engines/engine.py made ready, and in recipe/
`Step.__call__` and `FlatOptimizer.update`.

Packages, lowest layer first: settings, process, recipe, then weights and engines, trainer.py,
loop.py, runs, then bench, counts, doctor and theory; each imports lower ones, `records/`, `data/`
and `models/`."""

from records.imports import end_by_ctrl_c

end_by_ctrl_c()
