"""Sets of photographs as folder trees that are read while they are used. Imports `data/order.py`
and `records/`."""
