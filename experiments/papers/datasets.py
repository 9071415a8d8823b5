"""The papers' data sets: their names, test images, margins, fingerprints (results/paper)."""

from functools import cache

from experiments.papers.published import PAPER
from experiments.papers.reading import read
from experiments.papers.schema import Dataset


@cache
def known() -> dict[str, Dataset]:
    """Every data set that a paper uses, by name, in the order of datasets.csv."""
    return {dataset.dataset: dataset for dataset in read(PAPER / "datasets.csv", Dataset)}


def of(name: str) -> Dataset:
    """A data set by name; one that no paper uses is assumed to have 10,000 test images."""
    other = Dataset(name, name, name, train_images=1, test_images=10_000, margin=0.5)
    return known().get(name, other)
