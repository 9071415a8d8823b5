"""The papers' claims: every one names known rows; records decide them."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.papers.rows import facts
from experiments.tables import claims
from experiments.tables.claims import Claim, claims_table, find, judge, mistake_in
from experiments.verdicts.records import RunRecord, load
from records.files import ROOT

GOLDEN = ROOT / "tests" / "golden" / "runs"
TEMPLATE = "he2015_residual/table6/resnet20/cifar10_aug/seed0"
A, B, C = (f"he2015_residual/table6/resnet{depth}" for depth in (20, 56, 110))
LOWER = {"lower": B, "than": A}


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., list[RunRecord]]:
    """Records of a row with these test errors, a seed each, or with other values changed."""

    def make(row: str, *errors: float, start: int = 0, **changes: Any) -> list[RunRecord]:
        records = []
        for seed, error in enumerate(errors, start):
            run = f"{row}/cifar10_aug/seed{seed}"
            folder = tmp_path / run
            shutil.copytree(GOLDEN / TEMPLATE, folder)
            path, fact = folder / "summary.json", facts(row, "cifar10_aug")
            assert fact is not None
            summary = json.loads(path.read_text()) | {
                "run": run, "experiment": row, "seed": seed, "recipe": fact.hash,
                "iterations": fact.iterations, "status": "finished",
                "test_error": dict.fromkeys(("last", "best", "at_best_val", "exported"), error),
            }  # fmt: skip
            path.write_text(json.dumps(summary | changes))
            records.append(load(folder))
        assert all(record.counts for record in records)
        return records

    return make


def test_there_are_twenty_claims_and_all_name_known_rows() -> None:
    found = claims.claims()
    assert len(found) >= 20
    papers = {claim.source.split(",")[0] for claim in found}
    assert papers == {"He et al. 2015", "He et al. 2016", "Huang et al. 2016", "Huang et al. 2017"}
    assert len({claim.name for claim in found}) == len(found)


@pytest.mark.parametrize(
    ("comparison", "mistake"),
    [
        ({"lower": A}, "no comparison"),
        ({"lower": A, "than": B, "of": "speed"}, "speed is unknown"),
        ({"lower": A, "than": "he2015_residual/table6/resnet21"}, "resnet21 is trained on"),
        ({"lower": A, "than": B, "data": "svhn"}, "on svhn by no table"),
    ],
)
def test_a_mistake_in_a_claim_is_named(comparison: dict[str, Any], mistake: str) -> None:
    assert mistake in (mistake_in(comparison) or "")


@pytest.mark.parametrize(
    ("low", "high", "holds"),
    [
        ((7.0, 7.1, 6.9), (8.0, 8.1, 7.9), True),
        ((8.0, 8.1, 7.9), (7.0, 7.1, 6.9), False),
        ((7.9, 8.0, 7.8), (8.0, 8.1, 7.9), None),
        ((7.0,), (8.0,), True),  # far apart: a seed a row is enough
        ((8.1,), (8.2,), None),
        ((7.9, 8.0, 7.8) * 14, (8.0, 8.1, 7.9) * 14, True),  # near, but so many seeds tell
    ],
)
def test_an_ordering_is_decided_by_the_interval_of_the_difference(
    low: tuple[float, ...], high: tuple[float, ...], holds: bool | None,
    made: Callable[..., list[RunRecord]],
) -> None:  # fmt: skip
    assert find(LOWER, made(B, *low) + made(A, *high)).holds is holds


def test_an_open_claim_says_how_many_seeds_would_decide(
    made: Callable[..., list[RunRecord]],
) -> None:
    found = find(LOWER, made(B, 7.8) + made(A, 8.0))
    seeds = int(re.search(r"\((\d+) seeds a row would decide", found.numbers)[1])  # type: ignore[index]
    few = made(f"{A[:-2]}32", *[7.8] * (seeds // 2)) + made(C, *[8.0] * (seeds // 2))
    assert 4 < seeds < 20 and find({"lower": f"{A[:-2]}32", "than": C}, few).holds in (None, True)
    found = find({"lower": B, "than": A}, made(B, 8.0, start=5) + made(A, 8.0, start=5))
    assert "no number of seeds" in found.numbers


def test_what_fails_to_train_is_worse(made: Callable[..., list[RunRecord]]) -> None:
    records = made(A, 90.0) + made(B, 7.0)
    assert find(LOWER, records).holds is True
    assert find({"lower": A, "than": B}, records).holds is False
    assert find({"fails": A}, records).holds is True
    assert find({"fails": B}, records).holds is False


def test_without_runs_nothing_is_decided_but_parameters_are() -> None:
    assert find(LOWER, []).holds is None
    # 0.27M against 1.73M parameters.
    assert find({"lower": A, "than": C, "of": "params", "times": 6}, []).holds is True
    assert find({"lower": A, "than": C, "of": "params", "times": 7}, []).holds is False


def test_near_and_below(made: Callable[..., list[RunRecord]]) -> None:
    records = made(A, 8.0, 8.1, 7.9) + made(B, 7.8, 7.9, 7.7, train_error=0.05)
    for within, holds in ((0.6, True), (0.25, None), (-0.2, False)):
        assert find({"near": A, "to": B, "within": within}, records).holds is holds
    assert find({"below": 0.1, "row": B, "of": "train_error"}, records).holds is True
    assert find({"below": 0.01, "row": B, "of": "train_error"}, records).holds is False


def test_times_are_compared_on_one_machine_only(made: Callable[..., list[RunRecord]]) -> None:
    kind = {"engine": "fused", "runs_at_once": 1}
    faster = made(A, 8.0, 8.1, seconds=600.0, device="one", **kind)
    slower = made(B, 7.0, 7.1, seconds=900.0, device="one", **kind)
    comparison = {"lower": A, "than": B, "of": "seconds"}
    assert find(comparison, faster + slower).holds is True
    other = made(C, 7.0, 7.1, seconds=900.0, device="another", **kind)
    found = find({"lower": A, "than": C, "of": "seconds"}, faster + other)
    assert found.holds is None and "different machines" in found.numbers


def test_a_claim_stands_with_all_of_its_comparisons(made: Callable[..., list[RunRecord]]) -> None:
    records = made(A, 8.0, 8.1) + made(B, 7.0, 7.1) + made(C, 8.0, 8.1)
    good, bad, open_ = LOWER, {"lower": C, "than": B}, {"lower": C, "than": f"{A[:-2]}32"}
    for comparisons, verdict in (
        ([good], "holds"),
        ([good, bad, open_], "does not hold"),
        ([good, open_], "undecided"),
    ):
        judged = judge([Claim("name", "source", "text", tuple(comparisons))], records)
        assert [one.verdict for one in judged] == [verdict]
        frame = claims_table(judged).frame
        assert frame["Verdict"].tolist() == [verdict]
        assert "resnet56 7.05 ± 0.07, resnet20 8.05 ± 0.07" in frame["Ours"][0]


def test_the_command_needs_no_torch_and_writes_the_same_twice(tmp_path: Path) -> None:
    code = (
        "import sys, os; os.environ['RESULTS_DIR'] = sys.argv[1]; "
        "from experiments.tables import claims; code = claims.main([]); "
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    texts = set()
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=ROOT,
                       capture_output=True)  # fmt: skip
        texts.add((tmp_path / "tables" / "claims.md").read_text(encoding="utf-8"))
    assert len(texts) == 1 and "undecided" in texts.pop()
