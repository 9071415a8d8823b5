"""How a table prints a line's numbers: the paper's, those of others, ours."""

from collections.abc import Sequence
from statistics import fmean

import pandas as pd

from experiments import published
from experiments.aggregate import Measured, aggregate
from experiments.published import Line
from experiments.records import RunRecord
from experiments.rows import RowFacts

MISSING = "-"


def layers(line: Line) -> str:
    """Weighted layers, as the paper counts them."""
    known = published.value(line, "layers")
    return MISSING if known is None else f"{known:.0f}"


def parameters(line: Line, row: RowFacts | None) -> str:
    """Parameters of the network as built, or as quoted."""
    if row:
        return f"{row.params / 1e6:.2f}M"
    quoted = published.value(line, "params_millions")
    return MISSING if quoted is None else f"{quoted:g}M"


def top5(line: Line) -> str:
    """The published top-5 error, where it stands beside another number."""
    if published.metric(line.table) == published.TOP5:
        return MISSING  # the table's own number
    known = published.value(line, published.TOP5)
    return MISSING if known is None else f"{known:.2f}"


def our_top5(records: Sequence[RunRecord]) -> str:
    """Our mean top-5 error, where the networks were tested for it."""
    key = published.TOP5
    errors = [float(record.summary[key]) for record in records if key in record.summary]
    return f"{fmean(errors):.2f}" if errors else MISSING


def paper(numbers: pd.DataFrame) -> str:
    """The published number, in the paper's own form: best (mean ± std), a reading, a failure."""
    by_statistic = {line["statistic"]: line for _, line in numbers.iterrows()}
    if numbers.empty:
        return MISSING
    if "fail" in by_statistic:
        return f"fail (> {by_statistic['fail']['value']:g})"
    if "reading" in by_statistic:
        return f"~{by_statistic['reading']['value']:g}"
    if "mean_std" in by_statistic and not pd.isna(by_statistic["mean_std"]["std"]):
        mean = by_statistic["mean_std"]
        text = f"{mean['value']:.2f} ± {mean['std']:.2f}"
        other = numbers[numbers["statistic"] != "mean_std"]
        return text if other.empty else f"{other['value'].iloc[0]:.2f} ({text})"
    return f"{numbers['value'].iloc[0]:.2f}"


def ours(measured: Measured | None, records: Sequence[RunRecord], with_best: bool) -> str:
    """Our number by the paper's statistic, with spread and failures."""
    if measured is None:
        return MISSING
    failed = f"fail ({measured.failed} of {len(records)})" if measured.failed else ""
    if measured.value is None:
        return "fail" if len(records) == 1 else failed
    text = f"{measured.value:.2f}"
    if measured.std is not None:
        text += f" ± {measured.std:.2f}"
        best = aggregate(records, "best")
        if with_best and best and best.value is not None:
            text = f"{best.value:.2f} ({text})"
    return f"{text}, {failed}" if failed else text


def interval(measured: Measured | None) -> str:
    """Where our mean lies with 95 % confidence."""
    limits = measured.interval if measured else None
    return MISSING if limits is None else "{:.2f} to {:.2f}".format(*limits)


def others(line: Line) -> str:
    """The acceptance band of independent reproductions, or what the few there are report."""
    if published.metric(line.table) != published.ERROR:
        return MISSING
    if band := published.band(line.experiment, line.dataset):
        return "{:.1f} to {:.1f}".format(*band)
    values = published.reproductions(line.experiment, line.dataset)
    return ", ".join(f"{value:.2f}" for value in sorted(values)) or MISSING
