"""How fast, never what: hands the trainer a ready step. Imports `recipe/` and what lies below
it."""
