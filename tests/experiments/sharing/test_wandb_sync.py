"""Records that W&B refuses: each is named, and holds up no other."""

from pathlib import Path

import pytest

from experiments.sharing import wandb_sync
from experiments.verdicts.loading import load_all
from experiments.verdicts.records import RunRecord
from records.files import ROOT
from records.wandb_run import LONGEST, open_run

GOLDEN = ROOT / "tests" / "golden" / "runs"


@pytest.mark.parametrize(("refused", "sent"), [([1], 4), ([0, 2, 4], 2), ([1, 2, 3], 1)])
def test_a_refused_record_is_named_and_the_others_are_sent(
    refused: list[int], sent: int, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    records = load_all(GOLDEN)[:5]
    bad = {records[number].run for number in refused}

    def sync(record: RunRecord, project: str) -> bool:
        if record.run in bad:
            raise RuntimeError("invalid\n  name")
        return True

    monkeypatch.setattr(wandb_sync, "sync", sync)
    assert wandb_sync.sync_all(records, "p") == (sent, len(refused))
    said = capsys.readouterr().err
    assert all(f"W&B: {run}: invalid name" in said for run in bad)
    assert ("no further record" in said) == (refused == [1, 2, 3]), "as a server that is down"


@pytest.mark.parametrize("length", [LONGEST, LONGEST + 1, 300])
def test_a_name_that_is_too_long_keeps_its_row_and_its_seed(
    length: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))  # set by it, and put back
    monkeypatch.setattr("wandb.init", lambda **given: given)
    row, place = "he2015_residual/table6/resnet20", "/cifar10_aug/seed12"
    name = f"{row}+{'x' * (length - len(row + place) - 1)}{place}"
    assert len(name) == length
    given = open_run(
        tmp_path, name=name, experiment=row, identity="a", init_seconds=1, finish_seconds=1
    )["name"]
    assert len(given) <= LONGEST and given.startswith(f"{row}+x") and given.endswith(place)
    assert (given == name) == (length == LONGEST)
