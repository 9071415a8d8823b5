"""What has been measured in all: every table's verdicts, counted, and how many there are."""

from collections.abc import Mapping

import pandas as pd

from experiments import published

NAME, TITLE = "overview", "What has been measured"
OPEN = ("not run", "quoted", "-")
ORDER = (
    "reproduced", "better", "worse", "undecided", "fails as in the paper", "fails",
    "fails in part", "does not fail",
)  # fmt: skip
CHANCE = 0.05  # of a difference above two standard deviations where there is none


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
                "Lines": str(len(trained)),
                "Measured": str((trained != "not run").sum()),
                "Verdicts": ", ".join(verdicts) or "-",
            }
        )
    return pd.DataFrame(lines)


def comparisons(compiled: Mapping[str, pd.DataFrame]) -> int:
    """How many of our numbers have been compared with a published one, over all tables."""
    return sum(int((~frame["Verdict"].isin(OPEN)).sum()) for frame in compiled.values())


def notes(compiled: Mapping[str, pd.DataFrame]) -> list[str]:
    """What has to be said once for the verdicts of all tables."""
    made = comparisons(compiled)
    if not made:
        return ["No number of ours has been compared with a published one yet."]
    return [
        f"{made} comparisons of our numbers with published ones are made in all tables. No verdict "
        f"is corrected for their number: where nothing differs, about {CHANCE:.0%} of them "
        f"({CHANCE * made:.1f}) would be called better or worse by chance.",
        "A line that several tables quote is counted in each.",
    ]
