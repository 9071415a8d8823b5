"""What a machine can do for this suite, a line per check: `make doctor`. Imports all below it."""
