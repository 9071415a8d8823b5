"""The papers' figures: one file per paper, one per kind of panel. Imports papers and verdicts."""
