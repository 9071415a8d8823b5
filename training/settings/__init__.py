"""What a run is told: typed, checked before anything is built, and what of it decides a number.
Imports `models/` to check the network's arguments, and `records/`."""
