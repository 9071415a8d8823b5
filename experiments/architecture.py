"""The papers' architecture tables, from the networks as built: results/architecture.csv."""

from functools import cache

import pandas as pd

from experiments.published import PAPER, ROOT, papers

NOTES = [
    "Cells are what the built networks are made of. Where the paper prints something else, that "
    "follows in parentheses.",
    "Multiply-adds count convolutions and linear layers; He et al. 2015 call them FLOPs.",
]


@cache
def _published() -> pd.DataFrame:
    return pd.read_csv(PAPER / "layers.csv", dtype={"gflops": str}, keep_default_na=False)


@cache
def _built() -> pd.DataFrame:
    return pd.read_csv(ROOT / "results" / "architecture.csv")


def tables() -> list[str]:
    """The architecture tables: `<paper>/<table>`."""
    return list(_published()["table"].unique())


def title(table: str) -> str:
    """What stands above a table."""
    paper, _, name = table.partition("/")
    cited = next(known.cited for known in papers() if known.name == paper)
    return f"{cited}, {name.replace('table', 'Table ')}: architectures, as built"


def compile_table(table: str) -> pd.DataFrame:
    """A table with a line a layer and a column a network, as built, beside the published one."""
    published = _published()[_published()["table"] == table]
    columns: dict[str, list[str]] = {}
    for (experiment, label), paper in published.groupby(["experiment", "label"], sort=False):
        built = _built()[_built()["experiment"] == experiment]
        layers = paper[paper["layer"] != "FLOPs"]
        pairs = zip(built.itertuples(), layers.itertuples(), strict=True)
        columns.setdefault("Layer", [*layers["layer"], "Parameters", "Multiply-adds"])
        columns.setdefault("Output", [*built["output"], "", ""])
        flops = "".join(paper.loc[paper["layer"] == "FLOPs", "gflops"])
        columns[str(label)] = [
            *(_cell(ours, theirs) for ours, theirs in pairs),
            f"{built['params'].sum() / 1e6:.2f}M",
            f"{built['macs'].sum() / 1e9:.2f}G" + (f" ({flops})" if flops else ""),
        ]
    return pd.DataFrame(columns)


def differences(table: str) -> list[str]:
    """Where the built networks are not what the paper prints; none, if they are the paper's."""
    frame = compile_table(table)
    cells = frame[~frame["Layer"].isin(["Parameters", "Multiply-adds"])].iloc[:, 2:]
    return [cell for cell in cells.to_numpy().ravel() if "(paper:" in cell]


def _cell(ours, theirs) -> str:  # type: ignore[no-untyped-def]
    """What is built, and what is published where it differs in structure or output size."""
    if _words(ours.structure) == _words(theirs.structure) and ours.output == theirs.output:
        return str(theirs.structure)
    return f"{ours.structure} (paper: {theirs.structure}, {theirs.output})"


def _words(structure: str) -> str:
    """A structure without what the papers write in two ways."""
    for long, short in (("7x7 global average", "average"), ("7x7 conv", "7x7, 64")):
        structure = structure.replace(long, short)
    return structure
