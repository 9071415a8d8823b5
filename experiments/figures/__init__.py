"""The papers' figures: files for papers and for kinds of panels. It imports papers and verdicts."""
