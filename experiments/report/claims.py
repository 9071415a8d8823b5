"""The papers' claims as the report shows them, each with the rows it needs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from experiments.papers.claims import Claim, rows_in
from experiments.report.runs import group_anchor, slug
from experiments.tables.claims import Judged


@dataclass(frozen=True)
class ClaimView:
    """A claim on the page; `evidence`: the rows it needs and the addresses of their runs."""

    name: str
    statement: str
    source: str
    numbers: str
    verdict: str
    kind: str
    evidence: Sequence[tuple[str, str]]


def views(judged: Sequence[Judged], measured: Collection[tuple[str, str]]) -> list[ClaimView]:
    """All claims as the page shows them; `measured` are the rows that have runs."""
    return [
        ClaimView(one.claim.name, one.claim.statement, one.claim.source, one.numbers, one.verdict,
                  slug(one.verdict).lower(), evidence(one.claim, measured))
        for one in judged
    ]  # fmt: skip


def evidence(claim: Claim, measured: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
    """The rows that a claim needs, each with the address of its runs, or none."""
    rows = [
        (row, str(comparison.get("data", "cifar10_aug")))
        for comparison in claim.comparisons
        for row in rows_in(comparison)
    ]
    return [
        (f"{row}, {data}", f"#{group_anchor(row, data)}" if (row, data) in measured else "")
        for row, data in dict.fromkeys(rows)
    ]
