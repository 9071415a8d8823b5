"""How a line of a paper's table is printed: the paper's number, other reproductions, ours."""

from collections.abc import Callable
from dataclasses import dataclass

from experiments.papers import datasets, published
from experiments.papers.published import Line
from experiments.papers.rows import facts
from experiments.tables.results import Result
from experiments.verdicts.aggregate import aggregate, mean, working_error
from experiments.verdicts.verdict import INTERVAL, NEEDED

MISSING = "-"


@dataclass(frozen=True)
class Column:
    """A column of the papers' tables.

    Attributes:
        text: the text of a line's cell, or None.
        ours: whether it comes from our runs.
        optional: whether it is left out if it is the same on every line.
        against: whether it compares our number with a published one, which only a full schedule
            allows.
        note: its explanation below the table.
    """

    name: str
    text: Callable[[Result], str | None]
    ours: bool = False
    optional: bool = False
    against: bool = False
    note: str = ""

    def cell(self, result: Result) -> str:
        """The text of a line's cell, or a dash."""
        return self.text(result) or MISSING


def parameters(result: Result) -> str | None:
    """Parameters of the network as built here, else as the paper prints them."""
    if row := facts(*result.line.row):
        return f"{row.params / 1e6:.2f}M"
    printed = result.line.text("params_millions")
    return None if printed is None else f"{printed}M"


def paper(line: Line) -> str | None:
    """The published number, in the paper's own form: best (mean ± std), a reading, a failure."""
    numbers = {number.statistic: number for number in line.reported}
    if not numbers:
        return None
    first = next(iter(numbers.values()))
    if fail := numbers.get("fail"):
        return f"fail (> {fail.number:g})"
    if reading := numbers.get("reading"):
        return f"~{reading.number:g}"
    mean = numbers.pop("mean_std", None)
    if mean is None or mean.std is None:
        return first.value
    text = f"{mean.value} ± {mean.std:.2f}"
    return f"{next(iter(numbers.values())).value} ({text})" if numbers else text


def paper_top5(line: Line) -> str | None:
    """The published top-5 error, if it stands beside another number."""
    first = published.tables()[line.table].metric == published.TOP5
    return None if first else line.text(published.TOP5)


def our_top5(result: Result) -> str | None:
    """Our mean top-5 error, if the networks were tested for it."""
    return number(mean(record.summary.get(published.TOP5) for record in result.records))


def ours(result: Result) -> str | None:
    """Our number by the paper's statistic, with spread and failures."""
    measured, runs = result.measured, len(result.records)
    if not measured.runs + measured.failed:
        return None
    failed = f"fail ({measured.failed} of {runs})" if measured.failed else ""
    if measured.value is None:
        return "fail" if runs == 1 else failed
    spread = "" if measured.std is None else f" ± {measured.std:.2f}"
    text = f"{measured.value:.2f}{spread}"
    if spread and "best" in {number.statistic for number in result.line.reported}:
        best, average = (aggregate(result.records, which).value for which in ("best", "last"))
        text = f"{best:.2f} ({average:.2f}{spread})"
    return f"{text}, {failed}" if failed else text


def by_choice(result: Result) -> str | None:
    """Our mean error at the last epoch, at the best one on the test set, and at the best one on
    validation images; the paper's choice is marked."""
    of_errors = published.tables()[result.line.table].metric == published.ERROR
    working = [record for record in result.records if working_error(record) is not None]
    if not of_errors or result.line.test or not working:
        return None  # hours, or a test that only the last weights have
    chosen = "at_best_val" if "best_val" in {n.statistic for n in result.line.reported} else "last"
    return " / ".join(
        (number(mean(record.error(which) for record in working)) or MISSING)
        + ("*" if which == chosen else "")
        for which in ("last", "best", "at_best_val")
    )


def test(result: Result) -> str | None:
    """How the network is tested, if not as in training."""
    return published.test_words(result.line.test) if result.line.test else None


def interval(result: Result) -> str | None:
    """The 90 % interval of our mean."""
    limits = result.interval
    return None if limits is None else "{:.2f} to {:.2f}".format(*limits)


def others(result: Result) -> str | None:
    """Errors of independent reproductions: the range and how many, or each if at most two."""
    values = result.line.reproductions
    if len(values) > 2:
        return f"{min(values):.2f} to {max(values):.2f} ({len(values)})"
    return ", ".join(f"{value:.2f}" for value in values)


def count(result: Result) -> str | None:
    """How many runs our number is from, and out of how many if some lack the test."""
    runs = len(result.records)
    if result.untested:
        return f"{runs} of {runs + result.untested}"
    return str(runs) if runs else None


def number(value: float | None, form: str = ".2f") -> str | None:
    return None if value is None else f"{value:{form}}"


VERDICT = Column("Verdict", lambda r: r.verdict, against=True)
COLUMNS = (
    Column("Method", lambda r: r.line.label),
    Column("Data", lambda r: datasets.of(r.line.dataset).short, optional=True),
    Column("Layers", lambda r: r.line.layers),
    Column("Params", parameters),
    Column("Test", test, optional=True),
    Column("Paper (%)", lambda r: paper(r.line)),
    Column("Paper, top 5 (%)", lambda r: paper_top5(r.line), optional=True),
    Column(
        "Others (%)", others, optional=True, against=True,
        note="Others: last-epoch errors of independent reproductions, or their range and number "
        "if there are more than two; sources in results/paper.",
    ),
    Column("Ours (%)", ours, ours=True),
    Column(
        "Last / best / at best val", by_choice, ours=True, optional=True,
        note="Last / best / at best val: mean test error of our runs at the last epoch, at the "
        "epoch with the lowest test error (chosen on the test set itself), and at the epoch with "
        "the lowest validation error, if images are held out; * marks the paper's choice.",
    ),
    Column("90 % interval", interval, ours=True, optional=True, note=INTERVAL),
    Column("Ours, top 5 (%)", our_top5, ours=True, optional=True),
    Column("n", count, ours=True),
    Column("Difference", lambda r: number(r.difference, "+.2f"), ours=True,
           against=True),
    Column(
        "Against others", lambda r: r.others, ours=True, optional=True, against=True,
        note="Against others: our mean against theirs, by the margin of the verdict, with the "
        "spread of both.",
    ),
    Column("Runs to decide", lambda r: r.needed, ours=True, optional=True, against=True,
           note=NEEDED),
    VERDICT,
)  # fmt: skip
