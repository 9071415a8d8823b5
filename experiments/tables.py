"""A paper's table, compiled from records and published numbers: Markdown, CSV and LaTeX.

python -m experiments.tables he2015_residual/table6
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from experiments import published
from experiments.aggregate import Measured, aggregate
from experiments.records import RunRecord
from experiments.verdict import RULE, spread, verdict

COLUMNS = ("Method", "Layers", "Params", "Paper (%)", "Ours (%)", "n", "Difference", "Verdict")
MISSING = "-"


def compile_table(table: str, records: Sequence[RunRecord]) -> pd.DataFrame:
    """Every row of a table: what the paper says, what we measured, and how they compare.

    Args:
        records: any records; only unchanged runs of the full recipe on the right data count.
    """
    counting = [record for record in records if record.counts]
    lines = [
        _line(row, [r for r in counting if r.experiment == row]) for row in published.rows(table)
    ]
    return pd.DataFrame(lines, columns=list(COLUMNS))


def shortened_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Runs that were cut short, each by itself, beside no published number."""
    lines = [
        {
            "Run": record.run,
            "Layers": _layers(record.experiment),
            "Iterations": record.summary["iterations"],
            "Training error (%)": _number(record.summary["train_error"]),
            "Test error (%)": _number(record.error("last")),
            "Best test error (%)": _number(record.error("best")),
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


def paper_notes(table: str) -> list[str]:
    """What has to be said below a paper's table."""
    remarks = []
    for row in published.rows(table):
        errors = published.errors(row)
        for _, line in errors[errors["note"] != ""].iterrows():
            remarks.append((line["note"], f"{published.label(row)} {_layers(row)}".strip(" -")))
    grouped: dict[str, list[str]] = {}
    for note, name in remarks:
        grouped.setdefault(note, []).append(name)
    notes = [f"{', '.join(names)}: {note}." for note, names in grouped.items()]
    return [RULE, "`-`: not run yet, or not published.", *notes]


def _line(row: str, records: Sequence[RunRecord]) -> dict[str, str]:
    errors = published.errors(row)
    main = _main(errors)
    measured = aggregate(records, str(main["statistic"])) if main["statistic"] != "quoted" else None
    paper_std = None if pd.isna(main["std"]) else float(main["std"])
    ours_std = measured.std if measured else None
    std = spread(ours_std, paper_std, published.reproduction_std(row))
    trainable = row in published.network_sizes()
    decision = verdict(measured, float(main["value"]), std, fails=main["statistic"] == "fail")
    difference = MISSING
    if measured and measured.value is not None and main["statistic"] != "fail":
        difference = f"{measured.value - float(main['value']):+.2f}"
    return {
        "Method": published.label(row),
        "Layers": _layers(row),
        "Params": _params(row),
        "Paper (%)": _paper_cell(errors),
        "Ours (%)": _our_cell(measured, records, "best" in set(errors["statistic"])),
        "n": str(len(records)) if records else MISSING,
        "Difference": difference,
        "Verdict": decision if trainable else "quoted",
    }


def _main(errors: pd.DataFrame) -> pd.Series:
    """The published error that ours is compared with: a mean where there is one."""
    means = errors[errors["statistic"] == "mean_std"]
    return (errors if means.empty else means).iloc[0]


def _layers(row: str) -> str:
    layers = published.value(row, "layers")
    return MISSING if layers is None else f"{layers:.0f}"


def _params(row: str) -> str:
    counted = published.network_sizes().get(row)
    if counted:
        return f"{counted[0] / 1e6:.2f}M"
    quoted = published.value(row, "params_millions")
    return MISSING if quoted is None else f"{quoted:g}M"


def _paper_cell(errors: pd.DataFrame) -> str:
    by_statistic = {line["statistic"]: line for _, line in errors.iterrows()}
    if "fail" in by_statistic:
        return f"fail (> {by_statistic['fail']['value']:g})"
    if "reading" in by_statistic:
        return f"~{by_statistic['reading']['value']:g}"
    if "mean_std" in by_statistic:
        mean, best = by_statistic["mean_std"], by_statistic.get("best")
        text = f"{mean['value']:.2f} ± {mean['std']:.2f}"
        return text if best is None else f"{best['value']:.2f} ({text})"
    return f"{errors['value'].iloc[0]:.2f}"


def _our_cell(measured: Measured | None, records: Sequence[RunRecord], with_best: bool) -> str:
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
