"""The papers' architecture tables, from the networks as built: results/architecture.csv."""

import re
from functools import cache
from typing import Any

import pandas as pd

from experiments.papers.published import PAPER, PublishedError, papers
from experiments.papers.reading import read
from experiments.papers.schema import BuiltLayer, Layer
from records.files import ROOT

NOTES = [
    "Cells describe the networks as built. Where the paper prints something else, that follows in "
    "parentheses.",
    "Multiply-adds count convolutions and linear layers; He et al. 2015 call them FLOPs.",
]


@cache
def _published() -> pd.DataFrame:
    return pd.DataFrame(read(PAPER / "layers.csv", Layer))


@cache
def _built() -> pd.DataFrame:
    return pd.DataFrame(read(ROOT / "results" / "architecture.csv", BuiltLayer))


def tables() -> list[str]:
    """The architecture tables: `<paper>/<table>`."""
    return list(_published()["table"].unique())


def title(table: str) -> str:
    """The caption of a table."""
    paper, _, name = table.partition("/")
    cited = next(known.cited for known in papers() if known.name == paper)
    return f"{cited}, {name.replace('table', 'Table ')}: architectures, as built"


def layers_table(table: str) -> pd.DataFrame:
    """A line per layer and a column per network, as built, noting where the paper differs.

    Raises:
        PublishedError: a network has more or fewer layers than the paper prints.
    """
    columns: dict[str, list[str]] = {}
    published = _published()[_published()["table"] == table]
    for (experiment, label), paper in published.groupby(["experiment", "label"], sort=False):
        built = _built()[_built()["experiment"] == experiment].reset_index(drop=True)
        printed = paper[paper["layer"] != "FLOPs"].reset_index(drop=True)
        if len(built) != len(printed):
            raise PublishedError(
                f"{experiment}: {len(built)} layers built, {len(printed)} printed (layers.csv)."
            )
        both = built.assign(paper=printed["structure"], paper_output=printed["output"])
        flops = "".join(paper.loc[paper["layer"] == "FLOPs", "gflops"])
        columns.setdefault("Layer", [*printed["layer"], "Parameters", "Multiply-adds"])
        columns.setdefault("Output", [*built["output"], "", ""])
        columns[str(label)] = [
            *map(_cell, both.itertuples()),
            f"{built['params'].sum() / 1e6:.2f}M",
            f"{built['macs'].sum() / 1e9:.2f}G" + (f" ({flops})" if flops else ""),
        ]
    return pd.DataFrame(columns)


def _cell(layer: Any) -> str:
    """The layer as built and, if structure or output size differ, as published."""
    if _same(layer):
        return str(layer.paper)
    return f"{layer.structure} (paper: {layer.paper}, {layer.paper_output})"


def _same(layer: Any) -> bool:
    built, paper = layer.structure, layer.paper.replace("7x7 global average", "average")
    if "7x7 conv" in paper:  # Huang et al. 2017 print no widths
        built = re.sub(r"7x7, \d+", "7x7 conv", built)
    return bool(built == paper and layer.output == layer.paper_output)
