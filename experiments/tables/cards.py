"""A card beside each shipped weights file: what it is, what it can do, and what it cannot."""

import re
from collections.abc import Sequence
from pathlib import Path

from experiments.papers import datasets, published
from experiments.papers.rows import facts
from experiments.tables.cells import paper
from experiments.verdicts.records import RunRecord
from records.config import read_config
from records.files import ROOT, write_atomically
from records.names import CONFIG, FULL, KEPT, results, weights_file

CARD = """\
# {name}

{about}

    python eval.py run={folder}
    python eval.py run={folder} image=cat.png
{hub}
It classifies 32 x 32 images that a single object fills into {classes} classes, and puts every other
image into one of them too, often with a high probability. It was trained to reproduce a published
number, and chosen by its seed, not by its error. On newly collected photographs, networks like it
err more often than on the test set (Recht et al. 2018).
"""

# In the same block of code as the commands above it.
HUB = """\
    torch.hub.load("<this checkout>", "{name}", source="local")  # takes RGB from 0 to 1
"""


def write_all(records: Sequence[RunRecord], preset: str) -> list[Path]:
    """Write the card of every record whose weights are shipped, as <weights>.md; return the paths.

    Records that lack a fact printed on the card get none."""
    paths = []
    for record in records:
        weights = weights_file(results(), preset, record.run)
        if weights.exists() and _is_complete(record):
            paths.append(weights.with_suffix(".md"))
            write_atomically(paths[-1], card(record))
    return paths


def _is_complete(record: RunRecord) -> bool:
    """Whether a record has every fact printed on a card."""
    summary, errors = record.summary, record.summary["test_error"]
    known = [summary.get(name) for name in ("macs", "device", "precision", "weights")]
    known += [record.seconds, errors["last"], errors["exported"], summary["train_error"]]
    return None not in known


def card(record: RunRecord) -> str:
    """The card of the weights of a record, in Markdown."""
    summary, full = record.summary, record.preset == FULL
    row = facts(record.experiment, record.dataset, record.preset)
    data, errors = datasets.of(record.dataset).short, summary["test_error"]
    title, number = _published(record)
    compared = f" (published: {number} %)" if number and full else ""
    folder = "/".join(filter(None, ("results", KEPT[record.preset], "runs", record.run)))
    about = {
        "Network": f"`{record.experiment}` ({title})",
        "Size": f"{summary['params']:,} parameters, {summary['macs']:,} multiply-adds per image",
        "Recipe": row.recipe if row else "-",
        "Schedule": f"{'full' if full else 'a tenth'}, {summary['iterations']:,} iterations",
        "Trained": f"in {(record.seconds or 0) / 60:.1f} minutes on an {summary['device']}, "
        f"{summary['precision']}",
        "Test error": f"{errors['last']:.2f} %{compared}",
        "Test error of this file": f"{errors['exported']:.2f} %, with 16-bit weights",
        "Training error": f"{summary['train_error']:.2f} %",
        "Input of this file": _input(record),
        "Output": "a logit for each class, in the alphabetical order of their names",
        "Record": f"[{folder}](/{folder})",
        "SHA-256": f"`{summary['weights']}`",
        "Licence": "[MIT](/LICENSE); to cite, see [CITATION.cff](/CITATION.cff)",
    }
    name = hub_name(record)
    hub = HUB.format(name=name) if name else ""
    return CARD.format(
        name=f"{record.experiment.rpartition('/')[2]} on {data}, seed {record.seed}",
        about="\n".join(f"- {key}: {value}" for key, value in about.items()),
        folder=folder,
        hub=hub,
        classes=100 if "cifar100" in record.dataset else 10,
    )


def hub_name(record: RunRecord) -> str | None:
    """The name by which hubconf.py loads these weights, or None."""
    if record.preset != FULL or record.seed or record.dataset != "cifar10_aug":
        return None
    row = re.escape(record.experiment.removeprefix("he2015_residual/"))
    text = (ROOT / "hubconf.py").read_text(encoding="utf-8")
    found = re.search(rf'^(\w+) = _network\(\d+, "{row}"', text, re.MULTILINE)
    return found[1] if found else None


def _input(record: RunRecord) -> str:
    """How an image is prepared for the network."""
    config = read_config(record.folder / CONFIG)
    recipe, source = config["recipe"], config["data"]["source"]
    ways = [f"mean={recipe['mean']}", f"std={recipe['std']}"]
    if recipe.get("prepare", "none") != "none":
        ways.insert(0, f"prepare={recipe['prepare']}")
    text = f"RGB from 0 to 255, normalised as in training ({', '.join(ways)})"
    if recipe["mean"] == "pixel" and source == "cifar10" and not recipe.get("holdout"):
        text += "; the mean image is [cifar10_mean.npy](/data/arrays/cifar10_mean.npy)"
    return text


def _published(record: RunRecord) -> tuple[str, str | None]:
    """Short title of a row's own table, and its published number there, if any."""
    table = record.experiment.rpartition("/")[0]
    for line in published.lines(table):
        if line.row == record.row:
            return published.tables()[table].title.partition(":")[0], paper(line)
    return table, None
