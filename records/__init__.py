"""What a run leaves on disk, shared by its writer and its readers: names, files, record, lock,
progress; how a command ends. Knows neither torch nor any other room."""
