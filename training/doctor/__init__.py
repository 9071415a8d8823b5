"""What a machine can do for this suite, a line a check: `make doctor`. Imports all below it."""
