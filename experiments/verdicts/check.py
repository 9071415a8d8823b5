"""Check which records may enter a table of their preset, and that none contradicts itself or its
weights: `make check`.

Every record is checked against its row, the code of its commit, its own metrics, and the checksum
of its shipped weights. If the data set is available, the weights are evaluated again.
"""

import hashlib
import sys
from pathlib import Path

from experiments.verdicts.ask_eval import data_file, test_error
from experiments.verdicts.loading import check_place, load
from experiments.verdicts.records import RunRecord
from experiments.verdicts.tested import results as results_of_tests
from records.code import committed_hash
from records.command import argument_parser, guarded
from records.names import KEPT, PARTS, results, runs_folder, weights_file, weights_folder
from records.record import RecordError, is_finished

# Largest gap, in percentage points, between the recorded error of the exported weights and that of
# a new evaluation, and that of the last iteration in training precision: 20 images of CIFAR.
SAME, TRAINED = 0.02, 0.2
PRINTED = 0.0051  # added by rounding to two decimals
SHIPPED = 30e6  # bytes of all weights, at most


@guarded
def main() -> int:
    """Exit code: 0 if no record contradicts itself and the weights take at most `SHIPPED`, else 1.
    That a record enters no table, e.g. as a shortened run, is no contradiction."""
    counts = [check(preset) for preset in KEPT]
    size = sum(path.stat().st_size for path in results().rglob("*.safetensors"))
    if size > SHIPPED:
        print(f"Weights take {size / 1e6:.1f} MB; at most {SHIPPED / 1e6:.0f} MB may be shipped")
    records, counting, bad = map(sum, zip(*counts, strict=True))
    print(f"{records} records, {counting} enter a table; problems: {bad}.")
    return int(bad > 0 or size > SHIPPED)


def check(preset: str) -> tuple[int, int, int]:
    """Check every record of a preset and print the outcome; return the number of records, of those
    that enter a table, and of those that contradict themselves plus weights without a record."""
    runs, counting, bad = runs_folder(preset), 0, 0
    folders = sorted({path.parent for name in PARTS for path in runs.rglob(name)})
    for folder in folders:
        name = f"{KEPT[preset]}/{folder.relative_to(runs)}".lstrip("/")
        try:
            record = load(folder)
            check_place(record, runs, preset)
        except RecordError as error:
            print(f"{name}: damaged or misplaced\n    {error}")
            bad += 1
            continue
        print(f"{name}: {'enters its table' if record.counts else 'does not enter a table'}")
        print(*(f"    {reason}\n" for reason in record.objections), sep="", end="", flush=True)
        try:
            faults = contradictions(record)
        except RecordError as error:
            faults = [str(error)]
        print(*(f"    {fault}\n" for fault in faults), sep="", end="")
        bad += bool(faults)
        counting += record.counts and not faults
    stray = stray_weights(weights_folder(results(), preset), runs)
    print(*stray, sep="\n", end="\n" if stray else "")
    return len(folders), counting, bad + len(stray)


def contradictions(record: RunRecord) -> list[str]:
    """List what cannot be true in a record.

    Raises:
        RecordError: its metrics are missing or damaged.
    """
    faults = metrics_faults(record)
    faults += [f"{name} is missing" for name in PARTS if not (record.folder / name).exists()]
    # Saved tests by other protocols may be of other weights or photographs.
    faults += results_of_tests(record)[1] + code_faults(record)
    weights = weights_file(results(), record.preset, record.run)
    if weights.exists():
        faults += weights_faults(record, weights)
    return faults


def code_faults(record: RunRecord) -> list[str]:
    """Fault of a record trained by other code than that of its commit, if the commit is known."""
    used, committed = record.summary.get("code"), committed_hash(str(record.summary.get("commit")))
    if committed is None or not used or record.summary.get("clean") is False or committed in used:
        return []
    return [f"its code ({', '.join(used)}) is not that of its commit ({committed})"]


def metrics_faults(record: RunRecord) -> list[str]:
    """Disagreements between the metrics and the summary."""
    frame, faults = record.metrics(), []
    last = frame.iloc[-1]
    if int(last["iteration"]) != record.summary["iterations"]:
        faults.append(f"metrics.csv ends at iteration {int(last['iteration']):,}")
    if record.diverged:
        return faults
    if frame[["train_loss", "test_loss", "test_error"]].isna().any(axis=None):
        faults.append("metrics.csv has a loss or an error that is not a number")
    expected = {"last": last["test_error"], "best": frame["test_error"].min()}
    if "val_error" in frame and frame["val_error"].notna().any():
        expected["at_best_val"] = frame["test_error"].iloc[frame["val_error"].argmin()]
    for which, value in expected.items():
        error = record.error(which)
        if error is None or not abs(value - error) <= 1e-3:
            faults.append(f"the test error ({which}) is {value:.4f} in metrics.csv")
    return faults


def weights_faults(record: RunRecord, weights: Path) -> list[str]:
    """Fault of shipped weights that are not the recorded ones or miss the recorded error."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    exported, last = record.error("exported"), record.error("last")
    if digest != record.summary.get("weights"):
        return [f"{weights} is not the file that was recorded"]
    if exported is None or last is None:
        return [f"{weights}: no test error is recorded"]
    if abs(exported - last) > TRAINED + PRINTED:
        return [f"{weights}: recorded as {exported:.2f} %, but the run ended at {last:.2f} %"]
    if not data_file(record.dataset).exists():
        return []
    error, reason = test_error(record.folder, weights)
    if error is None:
        return [f"{weights} cannot be evaluated: {reason}"]
    if abs(error - exported) > SAME + PRINTED:
        return [f"{weights} gives {error:.2f} %, but its record says {exported:.2f} %"]
    print(f"    its 16-bit weights give {error:.2f} %, as recorded (the run ended at {last:.2f} %)")
    return []


def stray_weights(weights: Path, runs: Path) -> list[str]:
    """Weights files that belong to no record."""
    return [
        f"{path} belongs to no record; delete it"
        for path in sorted(weights.rglob("*.safetensors"))
        if not is_finished(runs / path.relative_to(weights).with_suffix(""))
    ]


if __name__ == "__main__":
    argument_parser(__doc__).parse_args()
    sys.exit(main())
