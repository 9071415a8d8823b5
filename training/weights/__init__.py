"""Trained weights: their files, tests and analyses. Imports `recipe/` and what lies below
it."""
