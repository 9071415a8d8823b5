"""The papers' claims as the report shows them, each with the rows it needs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from experiments.claims import Claim, compile_claims, rows_in
from experiments.records import RunRecord
from experiments.report.runs import group_anchor, slug


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


def views(
    claimed: Sequence[Claim],
    records: Sequence[RunRecord],
    measured: Collection[tuple[str, str]],
) -> list[ClaimView]:
    """All claims as the page shows them; `measured` are the rows that have runs."""
    frame = compile_claims(claimed, records)
    return [
        ClaimView(claim.name, claim.statement, claim.source, numbers, verdict,
                  slug(verdict).lower(), evidence(claim, measured))
        for claim, numbers, verdict in zip(claimed, frame["Ours"], frame["Verdict"], strict=True)
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
