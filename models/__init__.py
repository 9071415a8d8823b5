"""The networks of the papers, readable beside them; they know no config, data set, device or
kernel. An impossible argument raises a ValueError that names it. Imports nothing else of ours."""
