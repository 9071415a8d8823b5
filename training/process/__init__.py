"""The process that trains: its device, memory, signals, live line, and the other processes of its
run. Imports `settings/`."""
