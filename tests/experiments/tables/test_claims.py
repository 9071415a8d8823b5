"""The papers' claims: every one names known rows; records decide them."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from experiments.papers.claims import MEASURES, Claim, claims, mistake_in
from experiments.papers.rows import facts
from experiments.tables.claims import claims_table, decide, find, judge
from experiments.verdicts.inference import Prior, Sample
from experiments.verdicts.loading import load
from experiments.verdicts.measure import Row, prior_of_measure, transition_least, weight_spread
from experiments.verdicts.records import RunRecord
from records.files import ROOT
from tests.sealed import seal

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
            fact = facts(row, "cifar10_aug")
            assert fact is not None
            values = {
                "run": run, "experiment": row, "seed": seed, "recipe": fact.hash,
                "iterations": fact.iterations, "status": "finished",
                "test_error": dict.fromkeys(("last", "best", "at_best_val", "exported"), error),
            }  # fmt: skip
            seal(folder, **values | changes)
            records.append(load(folder))
        assert all(record.counts for record in records)
        return records

    return make


def test_there_are_many_claims_and_all_name_known_rows() -> None:
    found = claims()
    assert len(found) >= 35
    papers = {claim.source.split(",")[0] for claim in found}
    assert {"He et al. 2015", "He et al. 2016", "Huang et al. 2016", "Huang et al. 2017"} <= papers
    assert papers <= set(pd.read_csv(ROOT / "results/paper/papers.csv")["cited"])
    assert len({claim.name for claim in found}) == len(found)


@pytest.mark.parametrize(
    ("comparison", "mistake"),
    [
        ({"lower": A}, "not a comparison"),
        ({"lower": A, "than": B, "of": "speed"}, "speed is unknown"),
        ({"lower": A, "than": "he2015_residual/table6/resnet21"}, "trains he2015_residual/table6/"),
        ({"lower": A, "than": B, "data": "svhn"}, "on svhn"),
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
    seeds = int(re.search(r"\((\d+) seeds per row would decide", found.numbers)[1])  # type: ignore[index]
    few = made(f"{A[:-2]}32", *[7.8] * (seeds // 2)) + made(C, *[8.0] * (seeds // 2))
    assert 4 < seeds < 20 and find({"lower": f"{A[:-2]}32", "than": C}, few).holds in (None, True)
    found = find({"lower": B, "than": A}, made(B, 8.0, start=5) + made(A, 8.0, start=5))
    assert "over 200 seeds" in found.numbers


def test_seeds_that_would_decide_whether_rows_are_near() -> None:
    """Off by 0.2 of 0.5, with a deviation of 0.2 and six degrees of freedom of a prior: five seeds
    tell (2.145 x 0.2 x (2 / 5) ** 0.5 = 0.271), four do not (2.179 x 0.2 x 0.5 ** 0.5 = 0.308)."""
    for runs, holds in ((1, None), (4, None), (5, True)):
        rows = [Row(Sample(mean, 0.2, 5 + runs, runs), False, False, "") for mean in (8.0, 7.8)]
        found = decide({"near": A, "to": B, "within": 0.5}, rows)
        assert found.holds is holds
        assert ("(5 seeds per row would decide" in found.numbers) == (holds is None)


def test_what_fails_to_train_is_worse(made: Callable[..., list[RunRecord]]) -> None:
    records = made(A, 90.0) + made(B, 7.0)
    assert find(LOWER, records).holds is True
    assert find({"lower": A, "than": B}, records).holds is False
    assert find({"near": A, "to": B, "within": 1}, records).holds is False
    assert find({"near": B, "to": A, "within": 1}, records).holds is None
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


def test_levels(made: Callable[..., list[RunRecord]]) -> None:
    """A run that fails is asked for its error, and one that diverges is above any."""
    above = {"above": 60, "row": A}
    for errors, holds in (((90.0,), True), ((25.0,), False), ((60.2,), None), ((8.0,), False)):
        records = made(A, *errors)
        assert find(above, records).holds is holds, errors
        shutil.rmtree(records[0].folder.parents[1])
    none = dict.fromkeys(("last", "best", "at_best_val", "exported"))
    diverged = made(A, 0.0, status="diverged", test_error=none, train_error=None)
    assert find(above, diverged).holds is True
    assert find({"below": 60, "row": A}, diverged).holds is False


@pytest.mark.parametrize(
    ("seconds", "holds"), [(450.0, True), (300.0, False), (590.0, False), (510.0, None)]
)
def test_a_share_lies_between_two_numbers(
    seconds: float, holds: bool | None, made: Callable[..., list[RunRecord]]
) -> None:
    """Of 600 s, 0.65 to 0.85 are 390 to 510 s; times repeat to about a twentieth."""
    kind = {"engine": "fused", "runs_at_once": 1, "device": "one"}
    records = made(A, *[8.0] * 5, seconds=seconds, **kind) + made(
        B, *[7.0] * 5, seconds=600.0, **kind
    )
    comparison = {"share": A, "to": B, "of": "seconds", "between": [0.65, 0.85]}
    assert find(comparison, records).holds is holds
    other = made(C, 7.0, seconds=600.0, **kind | {"device": "another"})
    assert find(comparison | {"to": C}, records + other).holds is None


def curve(records: list[RunRecord], **columns: list[float]) -> list[RunRecord]:
    """The same records with these columns in their metrics, every 1,000 iterations."""
    for record in records:
        frame = record.metrics()
        count = len(next(iter(columns.values())))
        frame = pd.concat([frame.iloc[:1]] * count, ignore_index=True).assign(**columns)
        frame["iteration"] = [1000 * (i + 1) for i in range(count)]
        frame.to_csv(record.folder / "metrics.csv", index=False)
        seal(record.folder)
    return records


def test_a_curve_at_an_iteration(made: Callable[..., list[RunRecord]]) -> None:
    """The first falls faster, and the second overtakes it."""
    one = curve(made(A, 8.0, 8.0), train_loss=[1.0, 0.8, 0.7])
    other = curve(made(B, 7.0, 7.0), train_loss=[2.0, 1.0, 0.4])
    faster = {"lower": A, "than": B, "of": "train_loss"}
    assert find(faster | {"at": 900}, one + other).holds is True
    assert find(faster | {"at": 3000}, one + other).holds is False
    assert find(faster | {"at": 3001}, one + other).holds is None, "it has ended before"
    assert "loss at 900" in find(faster | {"at": 900}, one + other).numbers
    small = curve(made(C, 6.0), train_loss=[0.00123456])
    assert "0.00123 loss" in find({"lower": C, "than": A, "of": "train_loss"}, one + small).numbers


def test_gradients_of_the_second_half(made: Callable[..., list[RunRecord]]) -> None:
    one = curve(made(A, 8.0, 8.0), gradient=[9.0, 9.0, 0.010, 0.012])
    other = curve(made(B, 7.0, 7.0), gradient=[0.001, 0.001, 0.020, 0.022])
    larger = {"lower": A, "than": B, "of": "gradient"}
    assert find(larger, one + other).holds is True
    assert find(larger | {"lower": B, "than": A}, one + other).holds is False


def test_responses_of_the_weights(made: Callable[..., list[RunRecord]]) -> None:
    """Of one network each, only what is three times as large is called larger; of several networks
    whose spread is known, less will do."""
    first, second = made(A, 8.0, 8.0), made(B, 7.0, 7.0)
    smaller = {"lower": B, "than": A, "of": "responses"}
    one_each = [first[0], second[0]]
    assert find(smaller, one_each).holds is None

    def respond(record: RunRecord, level: float) -> None:
        lines = [f"{layer},{level}" for layer in range(5)]
        (record.folder / "responses.csv").write_text("\n".join(["layer,std", *lines]) + "\n")

    respond(first[0], 1.0)
    for level, holds in ((0.5, None), (0.3, True)):
        respond(second[0], level)
        assert find(smaller, one_each).holds is holds
    assert find({"lower": A, "than": B, "of": "responses"}, one_each).holds is False
    for record, level in zip([*first, *second], (1.0, 1.1, 0.5, 0.52), strict=True):
        respond(record, level)
    assert find(smaller, first + second).holds is True
    records = one_each
    (records[0].folder / "responses.csv").unlink()
    assert "resnet20: no responses measured" in find(smaller, records).numbers


def reuse_of(spread: float, transition: float) -> str:
    """An analysis of two blocks of three layers: of a target's sources the last one has weight 1,
    the block's input `transition`, the others `spread`."""
    lines = ["block,source,target,weight"]
    for block in (1, 2):
        for target in (1, 2, 3, 4):
            weights = [transition, *[spread] * (target - 2), 1.0][-target:]
            lines += [f"{block},{source},{target},{w}" for source, w in enumerate(weights)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("spread", "transition", "holds"),
    [
        (0.9, 0.5, (True, True)),
        (0.9, 1.5, (True, False)),  # transitions get the most
        (0.001, 0.0001, (False, True)),  # a layer reads the one before it, and no other
        (0.001, 0.002, (False, False)),  # at two sources in three the least, else in the middle
    ],
)
def test_weights_spread_over_a_block(
    spread: float, transition: float, holds: tuple[bool, bool],
    made: Callable[..., list[RunRecord]],
) -> None:  # fmt: skip
    """Huang et al. 2017, Fig. 5: the claim's own comparisons, on weights that bear them out and on
    others."""
    (claim,) = [c for c in claims() if c.name == "layers use what early layers have made"]
    row = "huang2017_dense/table2/densenet_40_12"
    records = made(row, 5.2, 5.2)
    assert [find(one, records).holds for one in claim.comparisons] == [None, None]
    for record in records:
        (record.folder / "reuse.csv").write_text(reuse_of(spread, transition))
    found = [find(one, records) for one in claim.comparisons]
    assert tuple(one.holds for one in found) == holds
    assert "weight spread" in found[0].numbers and "transition least" in found[1].numbers


def test_the_measures_of_weights_by_hand() -> None:
    """(1 + 3)^2 / (1 + 9) / 2 = 0.8; (1 + 1 + 2)^2 / 6 / 3 = 8 / 9; one source is no choice."""
    lines = [(1, 0, 1, 9.0), (1, 0, 2, 1.0), (1, 1, 2, 3.0),
             (2, 0, 3, 1.0), (2, 1, 3, 1.5), (2, 2, 3, 0.5), (2, 0, 2, 0.1), (2, 1, 2, 0.1001),
             ]  # fmt: skip
    frame = pd.DataFrame(lines, columns=["block", "source", "target", "weight"])
    shares = [0.8, 9 / 3.5 / 3, 1.0]
    assert weight_spread(frame) == pytest.approx(sum(shares) / 3, abs=1e-6)
    assert transition_least(frame) == 0.5


@pytest.mark.parametrize("of", MEASURES)
def test_every_measure_can_be_asked_for(of: str, made: Callable[..., list[RunRecord]]) -> None:
    records = curve(made(A, 8.0, seconds=1.0) + made(B, 7.0, seconds=2.0),
                    gradient=[1.0, 1.0], train_loss=[1.0, 1.0])  # fmt: skip
    for record in records:
        (record.folder / "responses.csv").write_text("layer,std\n1,1.0\n")
        (record.folder / "reuse.csv").write_text(reuse_of(0.5, 0.4))
    assert "not run" not in (numbers := find(LOWER | {"of": of, "at": 1}, records).numbers)
    assert "resnet56" in numbers and "no " not in numbers.partition("(")[0]


def test_operations_are_exact() -> None:
    # 40.55M and 125.49M multiply-adds.
    assert find({"lower": A, "than": B, "of": "macs", "times": 3}, []).holds is True
    assert find({"lower": A, "than": B, "of": "macs", "times": 3.2}, []).holds is False


@pytest.mark.parametrize("errors", [(90.0, 8.0, 8.1), (90.0, 90.0, 8.0)])
def test_a_row_fails_as_its_median_does(
    errors: tuple[float, ...], made: Callable[..., list[RunRecord]]
) -> None:
    assert find({"fails": A}, made(A, *errors)).holds is (sorted(errors)[1] > 20)


def test_times_are_compared_on_one_machine_only(made: Callable[..., list[RunRecord]]) -> None:
    kind = {"engine": "fused", "runs_at_once": 1}
    faster = made(A, 8.0, 8.1, seconds=600.0, device="one", **kind)
    slower = made(B, 7.0, 7.1, seconds=900.0, device="one", **kind)
    comparison = {"lower": A, "than": B, "of": "seconds"}
    assert find(comparison, faster + slower).holds is True
    other = made(C, 7.0, 7.1, seconds=900.0, device="another", **kind)
    found = find({"lower": A, "than": C, "of": "seconds"}, faster + other)
    assert found.holds is None and "different machines" in found.numbers
    both = slower + made(B, 7.0, start=2, seconds=900.0, device="another", **kind)
    found = find(comparison, faster + both)
    assert found.holds is None and "different machines" in found.numbers


def test_times_on_two_machines_say_nothing_of_their_spread(
    made: Callable[..., list[RunRecord]],
) -> None:
    """It is then taken as a twentieth of the mean."""
    one, same, other = (
        made(A, 8.0, start=seed, seconds=100.0 * (1 + seed), device=device)
        for seed, device in enumerate(("one", "one", "another"))
    )
    assert prior_of_measure("seconds", "paper", one + other) == Prior(0.05, 1)
    assert prior_of_measure("seconds", "paper", one + same).ratio > 0.3


def test_a_claim_stands_with_all_of_its_comparisons(made: Callable[..., list[RunRecord]]) -> None:
    records = made(A, 8.0, 8.1) + made(B, 7.0, 7.1) + made(C, 8.0, 8.1)
    good, bad, open_ = LOWER, {"lower": C, "than": B}, {"lower": C, "than": f"{A[:-2]}32"}
    near = {"lower": C, "than": A}
    for comparisons, verdict in (
        ([good], "holds"),
        ([good, bad, open_], "does not hold"),
        ([good, open_], "incomplete"),
        ([good, near], "undecided"),
    ):
        judged = judge([Claim("name", "source", "text", tuple(comparisons))], records)
        assert [one.verdict for one in judged] == [verdict]
        frame = claims_table(judged).frame
        assert frame["Verdict"].tolist() == [verdict]
        assert "resnet56 7.05 ± 0.07, resnet20 8.05 ± 0.07" in frame["Ours"][0]
