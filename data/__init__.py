"""Image sets and training batches. `order.py` is shared by `arrays/` and `photographs/`, which do
not import each other; `sets.py` finds a set by its name. Imports `records/` at most."""

from records.imports import end_by_ctrl_c

end_by_ctrl_c()
