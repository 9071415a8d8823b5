"""What finished weights are asked: files, tests, analyses. Imports `recipe/` and what lies below
it."""
