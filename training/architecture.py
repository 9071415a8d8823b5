"""Parameters and multiply-adds of every row's network, counted from the built networks.

python -m training.architecture        writes results/architecture.csv
"""

import csv
import io
from pathlib import Path

from hydra import compose, initialize_config_dir

from training.config import read_settings
from training.entry import CONF
from training.network import network_size
from training.provenance import ROOT
from training.record import write_atomically

COLUMNS = ("experiment", "dataset", "params", "macs")


def experiments() -> list[str]:
    """Every row that has a config, sorted."""
    top = CONF / "experiment"
    paths = (p for p in top.rglob("*.yaml") if not p.name.startswith("_"))
    return sorted(path.relative_to(top).with_suffix("").as_posix() for path in paths)


def rows() -> list[dict[str, object]]:
    """One row an experiment, on its own data set."""
    found: list[dict[str, object]] = []
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for experiment in experiments():
            config = compose("config", overrides=[f"experiment={experiment}"])
            settings = read_settings(config)
            size = network_size(settings)
            found.append({"experiment": experiment, "dataset": settings.data.name, **size})
    return found


def main() -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows())
    path = Path(ROOT) / "results" / "architecture.csv"
    write_atomically(path, text.getvalue())
    print(path)


if __name__ == "__main__":
    main()
