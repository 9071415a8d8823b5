"""Sets of small images as arrays that lie whole on a device: fetched, checked, augmented, in
batches. Imports `data/order.py` and `records/`."""
