"""What a run leaves on disk, shared by its writer and its readers: names, files, record, lock,
progress, exit codes. Knows neither torch nor any other room."""
