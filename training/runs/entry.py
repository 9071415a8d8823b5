"""The entry point of the programs: composed config in, short errors and exit codes out."""

import errno
import os
import sys
from collections.abc import Callable
from typing import Any

import torch
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

from data.photographs.workers import why_lost
from records.command import guarded
from records.exits import BAD_CONFIG, FAILED, FULL, INTERRUPTED, NO_MEMORY, UserError
from records.names import at_home
from training.process.replicas import abandon, processes, why_parted
from training.process.signals import Stopped
from training.runs.command_line import (
    check_words,
    explain,
    for_hydra,
    is_sweep,
    version,
)
from training.settings.types import ConfigError

NOTHING = (
    "The sweep names no run: does a glob match no row?\n"
    "`table=he2015_residual/table6` sweeps a table."
)
GOES_ON = "What was saved is intact; repeat the command to continue."
begun: list[bool] = []  # one entry per job begun in this process
ended: list[tuple[str, str, float | None]] = []  # name, status and test error (%) of each run


class Failed(Exception):
    """A job failed and its reason has been printed; `code` is its exit code."""

    def __init__(self, code: int):
        super().__init__(f"exit code {code}")
        self.code = code


def start(task: Callable[[], Any]) -> None:
    """Run a Hydra application and exit with its code; command-line errors become short messages."""
    try:
        sys.exit(_start(task))
    except BaseException as error:
        abandon(error)
        raise


@guarded
def _start(task: Callable[[], Any]) -> int:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that exceptions reach us, not Hydra's own printer
    # Expand ~ and drop empty values now: Hydra creates a sweep's folder before we read any.
    for name in ("OUTPUT_DIR", "RESULTS_DIR", "DATA_DIR"):
        if folder := os.environ.pop(name, ""):
            os.environ[name] = at_home(folder)
    sys.argv[1:] = for_hydra(sys.argv[1:])
    if "--version" in sys.argv:  # Hydra would print its own
        print(f"Residual to Dense {version()}")
        return 0
    try:
        check_words(sys.argv[1:])
        try:
            task()
        finally:
            _close()
        if is_sweep(sys.argv[1:]) and not begun:
            return _print(NOTHING, BAD_CONFIG)
    except Failed as failed:
        return failed.code
    except (HydraException, OmegaConfBaseException) as error:
        return _print(explain(error), BAD_CONFIG)
    except yaml.YAMLError as error:  # in a file of conf
        return _print(" ".join(str(error).split()), BAD_CONFIG)
    except ValueError as error:  # how Hydra rejects some command lines
        if HydraConfig.initialized():
            raise
        return _print(f"{error} ({' '.join(sys.argv[1:])})", BAD_CONFIG)
    except KeyboardInterrupt:
        return _print("Interrupted.", INTERRUPTED)
    except BrokenPipeError:
        raise  # the reader of our output has left
    except OSError as error:  # from Hydra creating the folder of a run or sweep
        return _print(*_of_a_file(error))
    return 0


def _close() -> None:
    """Print the results of a multirun, one line per run."""
    if len(begun) < 2:
        return
    print(f"\n{len(ended)} of the {len(begun)} runs started have finished; test error, run:")
    for name, status, error in ended:
        print(f"{'-' if error is None else f'{error:.2f} %':>8}  {name}", end="")
        print("" if status == "finished" else f"  {status}")


def guard(job: Callable[[], None], *, resumable: bool) -> None:
    """Run one job of an application, turning errors that a user can cause into short messages.

    Args:
        resumable: whether repeating the command resumes the job.

    Raises:
        SystemExit: with the job's exit code.
        Failed: instead, in a multirun, so that its other jobs still run.
    """
    begun.append(True)
    try:
        job()
    except Stopped as stopped:
        sys.exit(_print(str(stopped), stopped.code))
    except Failed as failed:
        message, code = "", failed.code  # already printed
    except UserError as error:
        message, code = str(error), error.code
    except OSError as error:
        message, code = _of_a_file(error)
    except RuntimeError as error:
        message, code = _of_the_machine(error)
    else:
        return
    if message:
        goes_on = resumable and code in (FAILED, NO_MEMORY, FULL)
        _print(f"{message}\n{GOES_ON}" if goes_on else message, code)
    if in_multirun():
        raise Failed(FAILED)
    sys.exit(code)


def _of_the_machine(error: RuntimeError) -> tuple[str, int]:
    """Message and exit code for an error of a GPU or of lost workers; raises any other again."""
    if (why := why_lost(error) or why_parted(error)) is not None:
        return why, FAILED
    reason, _, _ = str(error).partition("\n")
    if isinstance(error, torch.OutOfMemoryError) or "out of memory" in reason:
        return (
            f"{reason}\nFree the GPU, let several share the run "
            "(torchrun --nproc-per-node N train.py ...), or try precision=bf16."
        ), NO_MEMORY
    if not isinstance(error, torch.AcceleratorError):
        raise error
    return reason, FAILED


def _of_a_file(error: OSError) -> tuple[str, int]:
    """Message and exit code for an error of the file system."""
    if error.errno == errno.EISDIR:  # of a rename: filename2 is its target
        place = error.filename2 or error.filename
        return f"{place} is a folder where a file should be; remove or rename it.", BAD_CONFIG
    what = f"{error.filename}: {error.strerror}." if error.filename else f"{error}."
    if error.errno == errno.ENAMETOOLONG:
        return what, BAD_CONFIG
    return what, FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else FAILED


def in_multirun() -> bool:
    """Whether the running job is one of several."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def check_alone() -> None:
    """Raise a ConfigError for a multirun of processes that torchrun started: they can join once."""
    if in_multirun() and processes() > 1:
        raise ConfigError("torchrun trains one run at a time: start it for each run, without -m.")


def chosen_experiment() -> str:
    """Return the row chosen on the command line; raise a ConfigError if there is none."""
    experiment = HydraConfig.get().runtime.choices.get("experiment")
    if not experiment:
        raise ConfigError(
            "No row was chosen: add experiment=<paper>/<table>/<row>, for example "
            "experiment=he2015_residual/table6/resnet20."
        )
    return experiment


def overrides() -> list[str]:
    """The overrides on the command line, as `key=value`."""
    return list(HydraConfig.get().overrides.task)


def _print(message: str, code: int) -> int:
    print(message, file=sys.stderr, flush=True)
    return code
