"""A paper's table, compiled from records and published numbers: Markdown, CSV and LaTeX."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import pandas as pd

from experiments import cells, published
from experiments.aggregate import Measured, aggregate
from experiments.cells import MISSING
from experiments.published import ROOT, Line, PublishedError
from experiments.records import RunRecord
from experiments.rows import facts
from experiments.tested import as_tested
from experiments.verdict import INTERVAL, RULE, others_deviation, spread, verdict

# Columns that are left out where they say the same on every line.
OTHERS, INTERVALS = "Others (%)", "95 % interval"
TOP5 = "Ours, top 5 (%)"
OPTIONAL = ("Data", "Paper, top 5 (%)", OTHERS, INTERVALS, TOP5, "Margin")
NOT_TESTED = "not tested"
NOTES = {
    OTHERS: "Others: what independent reproductions are expected to reach (their acceptance band), "
    "or what the few there are report; sources in results/paper.",
    INTERVALS: INTERVAL,
}
DASH = "`-`: not run yet, or not published."
GENERAL = (RULE, *NOTES.values(), DASH)  # what is said below many tables


def compile_table(table: str, records: Sequence[RunRecord]) -> pd.DataFrame:
    """Every line of a table: what the paper says, what we measured, and how they compare.

    Args:
        records: any records; only unchanged runs of the full recipe on the right data count.
    """
    counting = [record for record in records if record.counts]
    lines = published.lines(table)
    found = [
        _line(line, [r for r in counting if (r.experiment, r.dataset) == (line.experiment,
                                                                          line.dataset)])
        for line in lines
    ]  # fmt: skip
    frame = pd.DataFrame(found)
    frame = frame.drop(columns=[c for c in OPTIONAL if frame[c].nunique() == 1])
    unit = "h" if published.metric(table) == "train_hours" else "%"
    return frame.rename(columns=lambda name: name.replace("(%)", f"({unit})"))


def shortened_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Runs that were cut short, each by itself, beside no published number."""
    lines = [
        {
            "Run": record.run,
            "Parameters": f"{record.summary['params']:,}",
            "Iterations": record.summary["iterations"],
            "Training error (%)": _number(record.summary["train_error"]),
            "Test error (%)": _number(record.error("last")),
            "Best test error (%)": _number(record.error("best")),
            "Status": record.summary["status"],
        }
        for record in records
    ]
    return pd.DataFrame(lines)


def write_table(frame: pd.DataFrame, stem: Path, title: str, notes: Sequence[str]) -> list[Path]:
    """Write a compiled table as <stem>.md, .csv and .tex; the same table gives the same bytes."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    below = "".join(f"\n{note}\n" for note in notes)
    markdown = f"# {title}\n\n{to_markdown(frame)}\n{below}"
    texts = {
        ".md": markdown,
        ".csv": frame.to_csv(index=False, lineterminator="\n"),
        ".tex": _latex(frame, title),
    }
    paths = [stem.with_suffix(suffix) for suffix in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


def to_markdown(frame: pd.DataFrame) -> str:
    """A frame of text cells as a Markdown table."""
    return str(frame.to_markdown(index=False, disable_numparse=True))


def paper_notes(table: str, frame: pd.DataFrame) -> list[str]:
    """What has to be said below a paper's table as it was compiled."""
    lines = published.lines(table)
    grouped: dict[str, list[Line]] = {}
    for line in lines:
        for note in published.notes(line):
            grouped.setdefault(note, []).append(line)
    notes = [f"{'; '.join(_names(noted, lines))}: {note}." for note, noted in grouped.items()]
    columns = [note for name, note in NOTES.items() if name in frame.columns]
    return [RULE, *columns, *_test_note(table), DASH, *notes]


def _test_note(table: str) -> list[str]:
    name = published.test(table)
    if name is None:
        return []
    told = " ".join(published.test_arguments(name))
    return [
        f"Networks are tested by `python eval.py run=<record> {told} save=true`, which `make "
        f"reproduce-table` does for every record with weights; *{NOT_TESTED}* where nobody has."
    ]


def _names(noted: Sequence[Line], lines: Sequence[Line]) -> list[str]:
    """The rows a note is about, with their data sets where it is not about all of a row's."""
    names = []
    for experiment in dict.fromkeys(line.experiment for line in noted):
        own = [line for line in noted if line.experiment == experiment]
        facts = [f"{cells.layers(own[0])} layers"] if cells.layers(own[0]) != MISSING else []
        if len(own) < sum(line.experiment == experiment for line in lines):
            facts += [line.dataset for line in own]
        label = published.label(own[0])
        names.append(f"{label} ({', '.join(facts)})" if facts else label)
    return list(dict.fromkeys(names))


def _line(line: Line, runs: Sequence[RunRecord]) -> dict[str, str]:
    records, untested = as_tested(runs, line.table)
    numbers, row = published.reported(line), facts(line.experiment, line.dataset)
    if row is None and (ROOT / "conf" / "experiment" / f"{line.experiment}.yaml").exists():
        raise PublishedError(
            f"{line.experiment} on {line.dataset} is not in results/rows.csv: run "
            "`make architecture` (its table in conf/table lists the row and its data)."
        )
    shown = {
        "Method": published.label(line),
        "Data": line.dataset,
        "Layers": cells.layers(line),
        "Params": cells.parameters(line, row),
        "Paper (%)": cells.paper(numbers),
        "Paper, top 5 (%)": cells.top5(line),
        OTHERS: cells.others(line),
    }
    measured, difference, margin = None, MISSING, MISSING
    if numbers.empty:
        decision = "not run" if row else "quoted"
    elif published.metric(line.table) == "train_hours":
        measured = _hours(records)
        decision = MISSING if records else "not run"  # hours of two machines are no matter of error
    else:
        main = _main(numbers)
        measured = aggregate(records, str(main["statistic"])) if row else None
        std = _spread(line, measured, main)
        fails = main["statistic"] == "fail"
        decision = verdict(measured, float(main["value"]), std, fails=fails) if row else "quoted"
        if measured and measured.value is not None and not fails:
            difference = f"{measured.value - float(main['value']):+.2f}"
            margin = MISSING if std is None else f"{2 * std:.2f}"
    if untested and all(record.diverged for record in records):
        measured, difference, margin, decision = None, MISSING, MISSING, NOT_TESTED
    with_best = "best" in set(numbers["statistic"])
    return shown | {
        "Ours (%)": cells.ours(measured, records, with_best),
        INTERVALS: cells.interval(measured),
        TOP5: cells.our_top5(records),
        "n": _count(records, untested),
        "Difference": difference,
        "Margin": margin,
        "Verdict": decision,
    }


def _count(records: Sequence[RunRecord], untested: int) -> str:
    """How many runs a number is of."""
    if untested:
        return f"{len(records)} of {len(records) + untested}"
    return str(len(records)) if records else MISSING


def _spread(line: Line, measured: Measured | None, main: pd.Series) -> float | None:
    """The standard deviation by which a line is judged."""
    ours = (measured.std, measured.runs) if measured and measured.std is not None else None
    paper = None if pd.isna(main["std"]) else (float(main["std"]), int(main["n_runs"]))
    return spread(ours, paper, others_deviation(line.experiment, line.dataset))


def _hours(records: Sequence[RunRecord]) -> Measured | None:
    hours = [record.summary["seconds"] / 3600 for record in records if not record.diverged]
    return Measured(fmean(hours), None, len(hours)) if hours else None


def _main(numbers: pd.DataFrame) -> pd.Series:
    """The published number that ours is compared with: a mean where there is one."""
    means = numbers[numbers["statistic"] == "mean_std"]
    return (numbers if means.empty else means).iloc[0]


def _number(value: float | None) -> str:
    return "diverged" if value is None else f"{value:.2f}"


def _latex(frame: pd.DataFrame, title: str) -> str:
    escaped = frame.rename(columns=_escape).map(lambda cell: _escape(str(cell)))
    columns = "l" + "r" * (frame.shape[1] - 2) + "l"
    style = escaped.style.hide(axis="index")
    text = style.to_latex(hrules=True, column_format=columns, caption=_escape(title))
    return f"% needs \\usepackage{{booktabs}}\n{text}"


def _escape(text: str) -> str:
    for plain, latex in (
        ("%", r"\%"),
        ("±", r"$\pm$"),
        ("~", r"$\sim$"),
        (">", r"$>$"),
        ("_", r"\_"),
    ):
        text = text.replace(plain, latex)
    return text
