"""Carrying out a plan: processes, devices, what is seen of them. Imports `plan/`, `tables/` and
what lies below."""
