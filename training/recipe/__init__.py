"""All that changes a number: data, step, optimizer, schedules, statistics, evaluation. Knows no
engine; imports `settings/` and `process/`."""
