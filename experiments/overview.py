"""What has been measured in all: the verdicts of every table, and how many comparisons."""

from collections.abc import Mapping

import pandas as pd

from experiments import published

NAME, TITLE = "overview", "What has been measured"
OPEN = ("not run", "not tested", "quoted", "-")
ORDER = (
    "reproduced", "better", "worse", "undecided", "fails as in the paper", "fails",
    "fails in part", "does not fail",
)  # fmt: skip


def compile_overview(compiled: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A line a table: its lines that we train, those that have run, and their verdicts."""
    lines = []
    for table, frame in compiled.items():
        trained = frame[frame["Verdict"] != "quoted"]["Verdict"]
        verdicts = [f"{(trained == name).sum()} {name}" for name in ORDER if name in set(trained)]
        lines.append(
            {
                "Table": table,
                "Shows": published.titles()[table],
                "Rows to train": str(len(trained)),
                "Measured": str((~trained.isin(OPEN[:2])).sum()),
                "Verdicts": ", ".join(verdicts) or "-",
            }
        )
    return pd.DataFrame(lines)


def compared(compiled: Mapping[str, pd.DataFrame]) -> list[str]:
    """The verdict of every row on a data set that is compared with a published number.

    A row that several tables quote counts once, in the first one.
    """
    found: dict[tuple[str, str], str] = {}
    for table, frame in compiled.items():
        for line, verdict in zip(published.lines(table), frame["Verdict"], strict=True):
            if verdict not in OPEN:
                found.setdefault((line.experiment, line.dataset), str(verdict))
    return list(found.values())


def notes(compiled: Mapping[str, pd.DataFrame]) -> list[str]:
    """What has to be said once for the verdicts of all tables."""
    made = len(compared(compiled))
    if not made:
        return ["No number of ours has been compared with a published one yet."]
    return [
        f"{made} rows are compared with a published number, each counted once although several "
        "tables may quote it. No verdict is corrected for their number. Where one run of ours is "
        "held against one of the paper's and nothing differs, about one in six is called better or "
        "worse by chance, even if the deviation is known exactly; more where it is estimated from "
        "few runs; one in fifteen where five runs of ours are held against one.",
    ]
