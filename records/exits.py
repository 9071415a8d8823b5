"""Exit codes of a run, of a plan, and of the commands of this suite."""

FAILED, BAD_CONFIG, BAD_DATA, DIVERGED = 1, 2, 3, 4
BUSY, NO_MEMORY, FULL = 69, 71, 74  # trained by another process; no GPU memory; the disk is full
PREEMPTED, INTERRUPTED = 75, 130  # stopped, and saved: start it again; the shell's code for Ctrl-C
STOPPED = (PREEMPTED, INTERRUPTED)
