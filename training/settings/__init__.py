"""The settings of a run: typed, checked before anything is built, and which of them decide its
numbers. Imports `models/` to check the network's arguments, and `records/`."""
