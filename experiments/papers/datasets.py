"""The papers' data sets: their names, test images, margins, fingerprints (results/paper)."""

from functools import cache

from experiments.papers.published import PAPER
from experiments.papers.schema import Dataset, read

TEST_IMAGES, MARGIN = 10_000, 0.5  # of a data set that no paper has


@cache
def fingerprints() -> dict[str, str]:
    """Fingerprint of the data every full recipe must have seen, by data set, where it is known."""
    known = {name: dataset.fingerprint for name, dataset in _datasets().items()}
    return {name: value for name, value in known.items() if value}


def test_images(dataset: str) -> int:
    """Images of a test set."""
    known = _datasets().get(dataset)
    return known.test_images if known else TEST_IMAGES


def short(dataset: str) -> str:
    """A data set as papers write it: C10+ with augmentation, C10 without."""
    known = _datasets().get(dataset)
    return known.short if known else dataset


def shorts() -> list[str]:
    """Every data set as papers write it, in the order of their tables."""
    return [dataset.short for dataset in _datasets().values()]


def margin(dataset: str) -> float:
    """Percent points by which a reproduced test error may differ from the published one."""
    known = _datasets().get(dataset)
    return known.margin if known else MARGIN


@cache
def _datasets() -> dict[str, Dataset]:
    return {dataset.dataset: dataset for dataset in read(PAPER / "datasets.csv", Dataset)}
