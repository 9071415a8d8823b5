"""Carrying out a plan: processes, devices, what is seen of them. Imports `plan/`, `figures/` and
what lies below."""
