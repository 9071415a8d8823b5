"""Exit codes of runs, plans and the commands of this suite."""

FAILED, BAD_CONFIG, BAD_DATA, DIVERGED = 1, 2, 3, 4
BUSY, NO_MEMORY, FULL = 69, 71, 74  # another process trains it; out of GPU memory; disk full
PREEMPTED, INTERRUPTED = 75, 130  # stopped with a checkpoint, restart it; the code for Ctrl-C
STOPPED = (PREEMPTED, INTERRUPTED)


class UserError(Exception):
    """What a user can mend: the message names the cause and the remedy, `code` ends the process."""

    code = BAD_CONFIG
