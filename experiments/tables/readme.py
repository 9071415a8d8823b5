"""Results in the README and the docs: compiled tables, and one line per measured row, between
markers that name them."""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from experiments.papers import datasets, published
from experiments.papers.claims import claims
from experiments.papers.published import Line
from experiments.papers.rows import all_rows
from experiments.tables.cells import MISSING, VERDICT, number, ours, paper
from experiments.tables.claims import FAILS, HOLDS, judge
from experiments.tables.results import result
from experiments.tables.sheets import to_markdown
from experiments.verdicts.aggregate import mean, working_error
from experiments.verdicts.inference import Prior
from experiments.verdicts.loading import records_of
from experiments.verdicts.priors import prior_of
from experiments.verdicts.records import RunRecord, by_row, counting
from records.files import ROOT
from records.names import FULL, results

SCHEDULES = {FULL: "full", "tenth": "a tenth"}
PAGES = (ROOT / "README.md", ROOT / "docs" / "results.md")
MARKED = re.compile(r"(<!-- (\w+)(?:: (\S+))? -->\n).*?(<!-- end -->)", re.DOTALL)


def update(pages: tuple[Path, ...] = PAGES, compiled: Path = ROOT / "results") -> bool:
    """Replace the text between a marker and `<!-- end -->`, and return whether a page changed.

    `<!-- table: FILE -->` gets the table in FILE, relative to results/; `<!-- measured: PRESET -->`
    the rows that have run; `<!-- counted -->` how many. If results are written elsewhere, the pages
    are left as they are.
    """
    if compiled.resolve() != results().resolve():
        return False
    changed = [_update(page, compiled) for page in pages]
    return any(changed)


def counted() -> str:
    """How many rows have been measured, on the full schedule and on a tenth of it, and how many
    claims are decided. A row that several tables quote counts once."""
    records = records_of(FULL)
    lines, verdicts = measured(records, FULL), [one.verdict for one in judge(claims(), records)]
    hold, fail = verdicts.count(HOLDS), verdicts.count(FAILS)
    holds, do = "holds" if hold == 1 else "hold", "does" if fail == 1 else "do"
    near = sum(line["Verdict"] == "reproduced" for line in lines)
    judged = sum(line["Verdict"] != MISSING for line in lines)
    rows = published.rows().keys() & all_rows().keys()
    tenth = measured(records_of("tenth"), "tenth")
    return (
        f"Full schedule: **{len(lines)} of {len(rows)} published rows measured**; {judged} of "
        f"them have a verdict, **{near} reproduced**. Of {len(verdicts)} claims, **{hold} {holds}, "
        f"{fail} {do} not**; the others are undecided, or their rows have not all run. On a tenth "
        f"of the schedule, which compares with no paper: {len(tenth)} rows."
    )


def _update(page: Path, compiled: Path) -> bool:
    before = page.read_text(encoding="utf-8")

    def fill(match: re.Match[str]) -> str:
        head, kind, name, end = match.groups()
        if kind == "table":
            table = (compiled / name).read_text(encoding="utf-8")
            return head + table.partition("\n\n")[2] + end  # the page has its own headings
        if kind == "measured":
            frame = pd.DataFrame(measured(records_of(name), name))
            return f"{head}{to_markdown(frame)}\n{end}"
        return f"{head}{counted()}\n{end}"

    after = MARKED.sub(fill, before)
    if after != before:
        page.write_text(after, encoding="utf-8")
    return after != before


def measured(records: Sequence[RunRecord], preset: str) -> list[dict[str, str]]:
    """One line for each published row that has run with a preset, named by the first table that has
    it. The paper's number is of the full schedule, and shown beside that only."""
    trained = counting(records, preset)
    runs = by_row(trained)
    prior = prior_of("test_error", preset, runs.values())
    lines = published.rows().items()
    return [_line(line, runs[row], preset, prior) for row, line in lines if row in runs]


def _line(line: Line, trained: Sequence[RunRecord], preset: str, prior: Prior) -> dict[str, str]:
    row, full = result(line, trained, prior), preset == FULL
    training = mean(r.summary.get("train_error") for r in trained if working_error(r) is not None)
    devices: dict[str, list[RunRecord]] = {}
    for record in trained:
        devices.setdefault(_device(record), []).append(record)
    return {
        "Network": line.label + (f", {line.layers} layers" if line.layers else ""),
        "Data": datasets.of(line.dataset).short,
        "Schedule": SCHEDULES[preset],
        "Paper (%)": (paper(line) or MISSING) if full else MISSING,
        "Ours (%)": ours(row) or MISSING,
        "Training error (%)": number(training) or MISSING,
        "n": str(len(trained)),
        "Minutes per run": "; ".join(map(_minutes, devices.values())),
        "On": "; ".join(devices),
        "Verdict": VERDICT.cell(row) if full else MISSING,
    }


def _minutes(records: Sequence[RunRecord]) -> str:
    seconds = mean(r.seconds for r in records if working_error(r) is not None)
    return MISSING if seconds is None else f"{seconds / 60:.1f}"


def _device(record: RunRecord) -> str:
    name, at_once = str(record.summary.get("device")), record.summary.get("runs_at_once") or 1
    each = name.split(", then ")
    short = ", then ".join(one.replace("NVIDIA ", "").split(" 80GB")[0] for one in each)
    if record.summary.get("driver") is None and record.summary.get("threads") == 1:
        return f"{short}, one core"
    return short if at_once == 1 else f"{short}, {at_once} runs at once"
