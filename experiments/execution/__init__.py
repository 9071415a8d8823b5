"""Carrying out a plan: processes, devices, display. Imports `plan/`, `tables/` and what lies
below."""
