"""How fast a training step is, against the usual loop and what the machine allows. Imports all
below it."""
