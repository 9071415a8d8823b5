"""Stands in for training.group_entry, without torch: leaves records, or fails as it is told.

BEHAVIOUR maps the seed of a run to `raise`, `kill`, `hang`, `memory`, `stop`, `full`, `once` or
`nothing`.
Every execution is noted in EXECUTED, a line each.
"""

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

from training.lock import Busy, locked


def train(folder: Path, results: Path, behaviour: str) -> tuple[int, str]:
    """Exit code and reason of a run."""
    if (results / "summary.json").exists():
        return 0, ""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder):
            if (results / "summary.json").exists():
                return 0, ""
            with Path(os.environ["EXECUTED"]).open("a") as file:
                file.write(f"{folder.name}\n")
            time.sleep(0.05)
            return fail(behaviour, folder) or finish(results)
    except Busy as busy:
        return 69, str(busy)


def fail(behaviour: str, folder: Path) -> tuple[int, str] | None:
    """Do what a run does that goes wrong."""
    tried = folder / "tried"
    if behaviour == "once" and not tried.exists():
        tried.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "raise":
        print("about to divide")
        return 1, f"ZeroDivisionError: {folder.name}"
    if behaviour == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "hang":
        time.sleep(600)
    if behaviour == "nothing":
        return 0, ""
    if behaviour == "memory":
        resource.setrlimit(resource.RLIMIT_AS, (2**28, 2**28))
        bytearray(2**30)
    if behaviour == "stop":
        return 75, "stopped by a scheduler"
    if behaviour == "full" and not tried.exists():
        tried.touch()
        return 74, "No space left on device."
    return None


def finish(results: Path) -> tuple[int, str]:
    results.mkdir(parents=True, exist_ok=True)
    temporary = results / "summary.json.tmp"
    temporary.write_text(json.dumps({"status": "finished", "test_error": {"last": 8.4}}))
    os.replace(temporary, results / "summary.json")
    return 0, ""


def main() -> int:
    outcomes = Path(sys.argv[sys.argv.index("--outcomes") + 1])
    behaviours = json.loads(os.environ.get("BEHAVIOUR", "{}"))
    for number, arguments in enumerate(json.load(sys.stdin)):
        choice = dict(part.split("=", 1) for part in arguments)
        run = f"{choice['experiment']}/{choice['data']}/seed{choice['seed']}"
        code, reason = train(
            Path(os.environ["OUTPUT_DIR"]) / "runs" / "paper" / run,
            Path(os.environ["RESULTS_DIR"]) / "runs" / run,
            behaviours.get(choice["seed"], ""),
        )
        with outcomes.open("a") as file:
            file.write(json.dumps({"job": number, "code": code, "reason": reason}) + "\n")
        if code == 75:
            return 75
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    sys.exit(main())
