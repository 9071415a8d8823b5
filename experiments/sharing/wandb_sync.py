"""Send records to Weights & Biases, complete and in order: `make wandb-sync`.

A run mirrored while it trained may have gaps in W&B after an outage or a resume. Its record is sent
as a separate run, with an id made from its name and content: one curve, however often it was
resumed. Without a login, the runs are written to disk for `wandb sync`. The dashboard of each paper
is sent with them.
"""

import hashlib
import os
import shlex
import sys
from collections.abc import Sequence

from experiments.verdicts.loading import records_of
from experiments.verdicts.records import RunRecord
from records.command import CommandError, argument_parser, guarded, one_of
from records.config import read_config
from records.exits import DIVERGED
from records.names import CONFIG, FULL, METRICS, SUMMARY, outputs
from records.schema import PRESETS
from records.wandb_run import mode, named, open_run, reason

PROJECT = "residual-to-dense"
JOB = "record"  # job type of its runs, which those mirrored in training lack
VERSION = 3  # of the format in which a record is sent
PATIENCE = 3  # failures in a row after which no further record is tried
MODES = ("online", "offline")
INIT_SECONDS, FINISH_SECONDS = 30, 300


@guarded
def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 if all intact records were sent or written, 1 if any was not."""
    parser = argument_parser(__doc__)
    parser.add_argument("--preset", default=FULL, type=one_of("PRESET", PRESETS))
    parser.add_argument("--project", default=os.environ.get("WANDB_PROJECT") or PROJECT)
    options = parser.parse_args(arguments)
    asked = os.environ.get("WANDB_MODE")
    if asked not in (None, *MODES):
        print(f"WANDB_MODE={asked} sends nothing; use {' or '.join(MODES)}.", file=sys.stderr)
        return 1
    records = records_of(options.preset)
    sent, failed = sync_all(records, options.project)
    print(f"{len(records)} records, {sent} sent or written now.")
    try:
        if options.preset == FULL and failed < PATIENCE:
            refresh_dashboards(records, options.project)
    except CommandError:
        raise
    except Exception as error:  # whatever W&B raises
        print(f"W&B: dashboards: {reason(error)}", file=sys.stderr)
        return 1
    offline = outputs() / "wandb-sync" / "wandb"
    if mode() != "online" and any(offline.glob("offline-run-*")):
        there = f"{shlex.quote(str(offline))}/offline-run-*"
        print(f"To send what is not online yet: wandb sync {there}")
    return int(failed > 0)


def sync_all(records: Sequence[RunRecord], project: str) -> tuple[int, int]:
    """Send records, and name those that fail; return how many were sent now and how many failed.
    After `PATIENCE` failures in a row, the rest is not tried."""
    sent, in_a_row, failed = 0, 0, 0
    for record in records:
        try:
            sent += sync(record, project)
            in_a_row = 0
        except CommandError:  # about all of them
            raise
        except Exception as error:  # whatever W&B raises
            print(f"W&B: {record.run}: {reason(error)}", file=sys.stderr)
            in_a_row, failed = in_a_row + 1, failed + 1
        if in_a_row == PATIENCE:
            print("W&B: no further record is tried.", file=sys.stderr)
            break
    return sent, failed


def sync(record: RunRecord, project: str) -> bool:
    """Send a record, unless it was sent unchanged before; return whether it was sent now."""
    identity, folder, way = run_id(record), outputs() / "wandb-sync", mode()
    entity = os.environ.get("WANDB_ENTITY", "")
    mark = folder / "-".join(filter(None, (identity, entity, project, f"{way}.sent")))
    if mark.exists():
        return False
    rows, config = record.metrics(), record.folder / CONFIG
    folder.mkdir(parents=True, exist_ok=True)
    run = open_run(
        folder,
        name=record.run,
        experiment=record.experiment,
        identity=identity,
        init_seconds=INIT_SECONDS,
        finish_seconds=FINISH_SECONDS,
        tags=("record", record.preset),
        project=project,
        # Dashboards show what enters the tables: other runs have their own job type.
        job_type=JOB if record.preset == FULL and record.counts else f"{JOB}-{record.preset}",
        config=(read_config(config) if config.exists() else {}) | {"dataset": record.dataset},
    )
    for row in rows.to_dict("records"):
        run.log(named(row), step=int(row["iteration"]))
    run.summary.update(record.summary)
    run.finish(exit_code=DIVERGED if record.diverged else 0)
    mark.touch()
    print(f"{record.run}: {len(rows)} rows" + (f", {run.url}" if way == "online" else ""))
    return True


def refresh_dashboards(records: Sequence[RunRecord], project: str) -> None:
    """Write the dashboard of every paper and, when logged in, publish it."""
    import wandb

    try:
        from experiments.sharing import dashboards
    except ImportError:
        print("Dashboards need wandb-workspaces: pip install -e .[dashboards].", file=sys.stderr)
        return
    print(*dashboards.write(records, project), sep="\n")
    if mode() == "online":
        entity = os.environ.get("WANDB_ENTITY") or wandb.Api().default_entity
        print(*dashboards.publish(records, project, str(entity)), sep="\n")


def run_id(record: RunRecord) -> str:
    """The W&B id of a record: the same for the same record, on any machine."""
    sent = b"".join((record.folder / name).read_bytes() for name in (METRICS, SUMMARY))
    digest = hashlib.sha256(sent).hexdigest()
    name = f"{VERSION}/{record.preset}/{record.run}/{digest}"
    return f"record-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


if __name__ == "__main__":
    sys.exit(main())
