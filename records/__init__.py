"""What a run leaves on disk, shared by its writer and its readers: names, files, record and its
schema, reasons to leave it out of tables, lock, progress; how a command ends. Knows neither torch
nor any other package."""
