"""How often claims are decided on drawn runs: the committed rates, and what they may be."""

import pandas as pd

from experiments.papers.claims import claims
from experiments.tables.claims import HOLDS
from experiments.tables.decided import PATH, decided, errors, exact, simulated, table, verdict_of

DRAWS = 20


def test_by_their_own_numbers_the_papers_claims_hold() -> None:
    claimed = list(simulated())
    assert len(claimed) >= 25 and len(claimed) < len(claims())
    assert {claim.name: verdict_of(claim, exact(claim)) for claim in claimed} == {
        claim.name: HOLDS for claim in claimed
    }


def test_errors_are_those_of_a_tables_own_test() -> None:
    """Huang et al. 2017, Table 3, DenseNet-121: 25.02 (23.61) for one crop (ten)."""
    assert errors()["huang2017_dense/table3/densenet121", "imagenet"] == 25.02


def test_more_seeds_decide_and_few_decide_wrongly() -> None:
    found = decided(DRAWS).set_index(["claim", "seeds"])
    committed = pd.read_csv(PATH).set_index(["claim", "seeds"])
    assert found.index.equals(committed.index), "python -m experiments.tables.decided"
    by_seeds = found.groupby("seeds").mean()
    # Each over 20 draws; some claims share rows.
    assert (by_seeds - committed.groupby("seeds").mean()).abs().max(axis=None) < 6
    assert by_seeds["right"].is_monotonic_increasing and by_seeds["right"][40] > 95
    assert by_seeds["wrong"].max() < 2
    far = [("plain nets degrade", 1), ("DenseNet is better without augmentation", 1)]
    assert (found.loc[far, "right"] > 95).all(), "one seed decides what is far apart"
    assert found.loc[("full pre-activation wins", 1), "right"] < 25, "and nothing that is near"


def test_the_table_has_the_committed_rates() -> None:
    frame = table().set_index("Claim")
    known = pd.read_csv(PATH).set_index(["claim", "seeds"])
    right, wrong = known.loc[("full pre-activation wins", 5), ["right", "wrong"]]
    cell = f"{right:.0f} / {wrong:.0f} / {100 - right - wrong:.0f}"
    assert frame.loc["full pre-activation wins", "5 seeds"] == cell
    assert frame.index[-1] == "all claims, on average"
    assert list(frame.columns) == ["1 seed per row", "2 seeds", "5 seeds", "40 seeds"]
