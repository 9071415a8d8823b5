"""A card lies beside every shipped file of weights and says what its record says."""

import hashlib
import json
import re
from pathlib import Path

import pytest

import hubconf
from experiments import compile
from experiments.tables.cards import card, hub_name
from experiments.verdicts.records import RunRecord
from records.files import ROOT
from records.names import KEPT
from training.weights.description import description

SHIPPED = sorted((ROOT / "results").rglob("weights/**/*.safetensors"))


def test_no_card_stands_alone() -> None:
    assert SHIPPED
    cards = sorted((ROOT / "results").rglob("weights/**/*.md"))
    assert cards == [path.with_suffix(".md") for path in SHIPPED]


@pytest.mark.parametrize("preset", KEPT)
def test_cards_are_those_of_the_records(preset: str) -> None:
    written = {}
    for record in compile.records_of(preset):
        path = ROOT / "results" / KEPT[preset] / "weights" / f"{record.run}.md"
        if path.with_suffix(".safetensors").exists():
            assert path.read_text(encoding="utf-8") == card(record), "make report writes it again"
            written[path] = record
    assert len(written) == sum((KEPT[preset] or "weights") in path.parts[len(ROOT.parts) + 1]
                               for path in SHIPPED)  # fmt: skip


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.parent.name)
def test_a_card_tells_the_file_and_its_error(path: Path) -> None:
    text = path.with_suffix(".md").read_text(encoding="utf-8")
    assert hashlib.sha256(path.read_bytes()).hexdigest() in text
    linked = re.findall(r"\]\(/(\S+)\)", text)
    assert all((ROOT / place).exists() for place in linked)
    (folder,) = (place for place in linked if "/runs/" in place)
    summary = json.loads((ROOT / folder / "summary.json").read_text())
    assert f"Test error: {summary['test_error']['last']:.2f} %" in text
    assert ("a tenth" in text) == (summary["preset"] == "tenth")
    assert ("published: " in text) <= (summary["preset"] == "paper")
    if stated := description(path):
        way = json.loads(stated["normalisation"])
        assert f"(mean={way['mean']}, std={way['std']})" in text
    named = re.findall(r'torch\.hub\.load\("<this checkout>", "(\w+)"', text)
    assert named == ([path.parent.parent.name] if summary["preset"] == "paper" else [])
    assert all(hasattr(hubconf, name) for name in named)


def test_a_network_without_a_name_is_not_given_one() -> None:
    record = compile.records_of("paper")[0]
    assert hub_name(record) is not None
    for change in ({"experiment": "he2015_residual/table6/resnet110"}, {"seed": 1},
                   {"dataset": "cifar10"}, {"preset": "tenth"}):  # fmt: skip
        assert hub_name(RunRecord(record.folder, record.summary | change)) is None
