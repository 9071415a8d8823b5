"""A page of all results for each kept preset, as HTML. It may import every lower package."""
