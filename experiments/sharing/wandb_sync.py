"""Send records to Weights & Biases, complete and in order: `make wandb-sync`.

A run that was mirrored while it trained may have gaps there, after an outage or a resume. From its
record it is told anew, as one run with an id made of its name and content: one curve, however
often it was resumed. Online where logged in; otherwise the runs are written for `wandb sync`. The
dashboard of each paper goes with them.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from experiments.sharing import dashboards
from experiments.verdicts.records import RunRecord, load_all
from records.names import outputs, runs_folder

PROJECT = "residual-to-dense"
VERSION = 2  # of what is sent of a record
MODES = ("online", "offline")
INIT_SECONDS, FINISH_SECONDS = 30, 300


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 all that are intact were sent or written, 1 W&B failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="paper", choices=("paper", "short", "smoke"))
    parser.add_argument("--project", default=PROJECT)
    options = parser.parse_args(arguments)
    mode = os.environ.get("WANDB_MODE")
    if mode not in (None, *MODES):
        print(f"WANDB_MODE={mode} sends nothing; it may be {' or '.join(MODES)}.", file=sys.stderr)
        return 1
    try:
        records = load_all(runs_folder(options.preset))
        done = [sync(record, options.project) for record in records]
        if options.preset == "paper":
            refresh_dashboards(records, options.project)
    except Exception as error:  # whatever W&B raises; what was sent before is marked
        print(f"W&B: {str(error) or type(error).__name__}", file=sys.stderr)
        return 1
    print(f"{len(done)} records, {sum(done)} sent or written now.")
    offline = outputs() / "wandb-sync" / "wandb"
    if any(offline.glob("offline-run-*")):
        print(f"What is not online yet can be sent later: wandb sync {offline}/offline-run-*")
    return 0


def sync(record: RunRecord, project: str) -> bool:
    """Send a record, unless it was sent as it is; whether it was sent now."""
    import wandb

    identity, mode = run_id(record), _mode(wandb)
    folder = outputs() / "wandb-sync"
    mark = folder / f"{identity}-{project}-{mode}.sent"
    if mark.exists():
        return False
    rows = record.metrics()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["WANDB_DIR"] = str(folder)  # some versions ignore dir=
    run = wandb.init(
        project=project,
        id=identity,
        name=record.run,
        group=record.experiment,
        job_type=dashboards.JOB,
        tags=[*record.experiment.split("/")[:2], "record"],
        config=recorded_config(record.folder) | {"dataset": record.dataset},
        dir=str(folder),
        resume="allow",
        mode=mode,
        settings=wandb.Settings(
            init_timeout=INIT_SECONDS,
            finish_timeout=FINISH_SECONDS,
            finish_timeout_raises=True,
            silent=True,
        ),
    )
    for row in rows.to_dict("records"):
        known = {key: value for key, value in row.items() if value == value}  # NaN: not measured
        named = {str(key).replace("_", "/", 1): value for key, value in known.items()}
        run.log(named, step=int(row["iteration"]))
    run.summary.update(record.summary)
    run.finish()
    mark.touch()
    print(f"{record.run}: {len(rows)} rows" + (f", {run.url}" if mode == "online" else ""))
    return True


def refresh_dashboards(records: Sequence[RunRecord], project: str) -> None:
    """Write the dashboard of every paper and, where logged in, publish it."""
    import wandb

    try:
        import wandb_workspaces  # noqa: F401
    except ImportError:
        print("Dashboards need wandb-workspaces: pip install -e .[dashboards].", file=sys.stderr)
        return
    print(*dashboards.write(records, project), sep="\n")
    if _mode(wandb) == "online":
        print(*dashboards.publish(records, project, str(wandb.Api().default_entity)), sep="\n")


def run_id(record: RunRecord) -> str:
    """The id of a record there: the same for the same record, on any machine."""
    name = f"{VERSION}/{record.summary['preset']}/{record.run}/{digest(record.folder)}"
    return f"record-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def recorded_config(folder: Path) -> dict[str, Any]:
    """The resolved configuration of a run, empty where it was not kept."""
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
    except (OSError, ValueError):
        return {}
    return dict(content)


def digest(folder: Path) -> str:
    """Hash over what is sent."""
    content = b"".join((folder / name).read_bytes() for name in ("metrics.csv", "summary.json"))
    return hashlib.sha256(content).hexdigest()


def _mode(wandb: Any) -> Any:
    """As WANDB_MODE says, else online where credentials are at hand; never a prompt."""
    if mode := os.environ.get("WANDB_MODE"):
        return mode
    return "online" if wandb.login(prompt=False, verify=False) else "offline"


if __name__ == "__main__":
    sys.exit(main())
