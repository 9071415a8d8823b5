"""Stands in for train.py, without torch: leaves a record, or fails as it is told.

BEHAVIOUR maps the seed of a run to `raise`, `kill`, `hang`, `memory`, `stop`, `full`, `once`,
`crowded`, `slow`, `saves` or `nothing`. Every execution is noted in EXECUTED, a line each.
"""

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from records.exits import BUSY, FULL, INTERRUPTED, NO_MEMORY, PREEMPTED
from records.lock import Busy, locked


def train(folder: Path, results: Path, behaviour: str) -> int:
    """Exit code of a run."""
    if (results / "summary.json").exists():
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder):
            if (results / "summary.json").exists():
                return 0
            with Path(os.environ["EXECUTED"]).open("a") as file:
                file.write(f"{folder.name}\n")
            time.sleep(0.05)
            if behaviour == "nothing":
                return 0
            return fail(behaviour, folder) or finish(folder, results)
    except Busy as busy:
        print(busy, file=sys.stderr)
        return BUSY


def fail(behaviour: str, folder: Path) -> int:
    """Do what a run does that goes wrong; its exit code, or 0 if it goes on."""
    tried = folder / "tried"
    first = not tried.exists()
    tried.touch()
    if behaviour == "once" and first:
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "raise":
        print("about to divide", flush=True)
        sys.exit("ZeroDivisionError: division by zero")
    if behaviour == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "hang":
        time.sleep(600)
    if behaviour == "saves":
        save_at_interrupt(folder)
    if behaviour == "slow":
        time.sleep(3)
    if behaviour == "memory":
        resource.setrlimit(resource.RLIMIT_AS, (2**28, 2**28))
        bytearray(2**30)
    if behaviour == "stop":
        return PREEMPTED
    if behaviour == "full" and first:
        print("No space left on device.\nWhat was saved is intact.", file=sys.stderr)
        return FULL
    if behaviour == "crowded" and first:
        return NO_MEMORY
    return 0


def save_at_interrupt(folder: Path) -> None:
    """As a run does: a first Ctrl-C saves, which takes a while, a second one ends at once."""
    caught = []

    def note(number: int, frame: object) -> None:
        if caught:
            os._exit(INTERRUPTED)
        caught.append(number)

    signal.signal(signal.SIGINT, note)
    while not caught:
        time.sleep(0.01)
    time.sleep(float(folder.name.removeprefix("seed")))
    (folder / "saved").touch()
    sys.exit(INTERRUPTED)


def finish(folder: Path, results: Path) -> int:
    (folder / "weights.safetensors").touch()
    results.mkdir(parents=True, exist_ok=True)
    temporary = results / "summary.json.tmp"
    temporary.write_text(json.dumps({"status": "finished", "test_error": {"last": 8.4}}))
    os.replace(temporary, results / "summary.json")
    return 0


def main() -> int:
    choice = dict(part.split("=", 1) for part in sys.argv[1:])
    run = f"{choice['experiment']}/{choice['data']}/seed{choice['seed']}"
    behaviours = json.loads(os.environ.get("BEHAVIOUR", "{}"))
    return train(
        Path(os.environ["OUTPUT_DIR"]) / "runs" / "paper" / run,
        Path(os.environ["RESULTS_DIR"]) / "runs" / run,
        behaviours.get(choice["seed"], ""),
    )


if __name__ == "__main__":
    sys.exit(main())
