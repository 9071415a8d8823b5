"""A run by name: what it trains, and where it and its record are stored."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from records.names import record_folder, weights_file, working_folder
from training.settings.identity import recipe_hash, teacher_hash
from training.settings.settings import Settings


@dataclass(frozen=True)
class NamedRun:
    """A run by name.

    Attributes:
        settings: what it trains.
        experiment: its row, `<paper>/<table>/<row>`.
        name: see records/names.py.
    """

    settings: Settings
    experiment: str
    name: str

    @property
    def working(self) -> Path:
        """The folder in which it is trained."""
        return working_folder(Path(self.settings.output_dir), self.settings.preset.name, self.name)

    @property
    def record(self) -> Path:
        """The folder of its record once it has ended: `working` unless its preset is kept."""
        outputs, results = Path(self.settings.output_dir), Path(self.settings.results_dir)
        return record_folder(outputs, results, self.settings.preset.name, self.name)

    @property
    def weights(self) -> Path:
        """The file of its weights, if its preset is kept and they are shipped."""
        return weights_file(Path(self.settings.results_dir), self.settings.preset.name, self.name)

    def known(self) -> dict[str, Any]:
        """What its summary will say of it, as far as its settings decide."""
        settings, teacher = self.settings, teacher_hash(self.settings)
        return {
            "run": self.name,
            "experiment": self.experiment,
            "dataset": settings.data.name,
            "seed": settings.seed,
            "preset": settings.preset.name,
            "recipe": recipe_hash(settings),
            **({"teacher": teacher} if teacher else {}),
        }
