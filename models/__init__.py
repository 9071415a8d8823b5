"""The networks of the papers, readable beside them; they know no config, data set, device or
kernel. Imports nothing else of ours."""
