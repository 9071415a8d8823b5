"""Which runs a table or a list needs, where each stands, what the rest takes. Imports `papers/`,
`verdicts/` and `records/`."""
