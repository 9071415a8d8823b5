"""Why a run will enter no table, as far as is known before it starts."""

import csv

from records.code import in_words, uncommitted
from records.files import ROOT
from records.names import KEPT, run_name
from training.settings.identity import recipe_hash
from training.settings.settings import Settings


def objections(settings: Settings, experiment: str, name: str, fingerprint: str) -> list[str]:
    """Why a run of a preset whose records are kept will enter no table; empty if it may.

    experiments/verdicts/records.py applies the same rules once the run has ended.

    Args:
        name: of the run.
        fingerprint: of its data.
    """
    if settings.preset.name not in KEPT:
        return []
    reasons = []
    changed = uncommitted()
    if name != run_name(experiment, (), settings.data.name, settings.seed):
        reasons.append("its row is changed by overrides")
    else:
        reasons += _of_the_row(settings, experiment, fingerprint)
    return [*reasons, in_words(changed)] if changed else reasons


def _of_the_row(settings: Settings, experiment: str, fingerprint: str) -> list[str]:
    """Differences from the row as counted, and from the paper's data."""
    rows = ROOT / "results" / KEPT[settings.preset.name] / "rows.csv"
    with rows.open(encoding="utf-8", newline="") as file:
        hashes = {(row["experiment"], row["dataset"]): row["hash"] for row in csv.DictReader(file)}
    known = hashes.get((experiment, settings.data.name))
    if known is None:
        return ["no table trains its row on this data set"]
    reasons = []
    if known != recipe_hash(settings):
        reasons.append("its configuration differs from the one counted (`make architecture`)")
    with (ROOT / "results/paper/datasets.csv").open(encoding="utf-8", newline="") as file:
        prints = {row["dataset"]: row["fingerprint"] for row in csv.DictReader(file)}
    if fingerprint != (prints.get(settings.data.name) or fingerprint):
        reasons.append(f"its data differ from the paper's ({settings.data.folder})")
    return reasons
