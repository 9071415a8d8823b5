"""The papers' figures: a file a paper, a file a kind of panel. It imports papers and verdicts."""
