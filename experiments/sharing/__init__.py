"""Comparing sets of records, and sending them to W&B. It may import every
lower package."""
