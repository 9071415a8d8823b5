"""Ways to execute a training step: they change its speed, not the recipe. Imports `recipe/` and
what lies below it."""
