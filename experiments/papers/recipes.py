"""The recipe sheet of each paper: every hyper-parameter, where it comes from, and how ours differs.

python -m experiments.papers.recipes        writes results/recipes/<recipe>.md
"""

import re
import sys
from pathlib import Path

import pandas as pd

from experiments.papers.published import PAPER
from experiments.papers.reading import read
from experiments.papers.schema import Deviation
from records.command import argument_parser, guarded
from records.files import ROOT
from records.names import results

FOLDER = ROOT / "conf" / "recipe"
EXPERIMENTS = ROOT / "conf" / "experiment"
PRESETS = ROOT / "conf" / "preset"
SETTING = re.compile(r"^(\w+):\s*([^#]*?)\s*(?:#\s*(.*))?$")
COLUMNS = ("Setting", "Value", "What the paper (or another source) says")
# Labels and includes, not hyper-parameters.
PLAIN = ("name", "defaults")


def settings(path: Path) -> list[tuple[str, str, str]]:
    """Name, value and source of every setting in a recipe file and the files it is based on."""
    text = path.read_text(encoding="utf-8")
    entries: dict[str, tuple[str, str, str]] = {}
    for base in bases(path):
        entries |= {setting[0]: setting for setting in settings(base)}
    for line in text.splitlines():
        if (match := SETTING.match(line)) and match[1] not in PLAIN:
            entries[match[1]] = (match[1], match[2], match[3] or "")
    return list(entries.values())


def bases(path: Path) -> list[Path]:
    """The files that a recipe file is based on."""
    names = re.findall(r"^  - (\w+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return [FOLDER / f"{name}.yaml" for name in names if name != "_self_"]


def sheet(recipe: str) -> str:
    """The recipe sheet as Markdown: the settings of a run, and the files they come from."""
    path = FOLDER / f"{recipe}.yaml"
    parts = [f"# Recipe {recipe}", f"{_title(path)} {_files(*bases(path), path)}", _table(path)]
    for group, heading in (("dataset", "On"), ("preset", "With preset")):
        for variant in sorted((FOLDER / group).glob(f"{recipe}_*.yaml")):
            name = variant.stem.removeprefix(f"{recipe}_")
            general = [] if group == "dataset" else [PRESETS / f"{name}.yaml"]
            words = f"{_title(variant)} {_files(*general, variant)} All else is as above."
            parts += [f"## {heading} {name}", words, _table(variant)]
    if rows := rows_of(recipe):
        frame = pd.DataFrame(rows, columns=[*COLUMNS, "Rows"])
        text = frame.to_markdown(index=False, disable_numparse=True)
        words = f"In their files in `{EXPERIMENTS.relative_to(ROOT).as_posix()}/`."
        parts += ["## What rows and tables set themselves", words, str(text)]
    deviations = pd.DataFrame(read(PAPER / "deviations.csv", Deviation))
    ours = deviations[deviations["recipe"] == recipe].drop(columns="recipe")
    if not ours.empty:
        ours.columns = pd.Index(["Setting", "Deviation, or reading", "Reason"])
        parts += ["## Where ours differs", str(ours.to_markdown(index=False))]
    return "\n\n".join(parts) + "\n"


def rows_of(recipe: str) -> list[tuple[str, str, str, str]]:
    """The settings that rows of a recipe set in their own files with a source, and those rows."""
    entries: dict[tuple[str, str, str], list[str]] = {}
    for path in sorted(EXPERIMENTS.rglob("*.yaml")):
        if _recipe(path) != recipe:
            continue
        name = path.relative_to(EXPERIMENTS).with_suffix("").as_posix().replace("_base", "*")
        for line in path.read_text(encoding="utf-8").splitlines():
            if (match := SETTING.match(line.strip())) and line.startswith("  ") and match[3]:
                entries.setdefault((match[1], match[2], match[3]), []).append(name)
    return [(*setting, ", ".join(names)) for setting, names in entries.items()]


def _recipe(path: Path) -> str:
    """The recipe a row file trains by: its own, or that of its table's base."""
    for source in (path, path.with_name("_base.yaml")):
        if match := re.search(r"override /recipe: (\w+)", source.read_text(encoding="utf-8")):
            return match[1]
    return ""


def recipes() -> list[str]:
    """Every recipe, by name."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@guarded
def main() -> int:
    folder = results() / "recipes"
    folder.mkdir(parents=True, exist_ok=True)
    for recipe in recipes():
        path = folder / f"{recipe}.md"
        path.write_text(sheet(recipe), encoding="utf-8")
        print(path)
    return 0


def _title(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


def _files(*paths: Path) -> str:
    """The files that values come from, in parentheses."""
    names = [f"`{path.relative_to(ROOT).as_posix()}`" for path in paths]
    return f"({', then '.join(names)})"


def _table(path: Path) -> str:
    frame = pd.DataFrame(settings(path), columns=list(COLUMNS))
    return str(frame.to_markdown(index=False, disable_numparse=True))


if __name__ == "__main__":
    argument_parser(__doc__).parse_args()
    sys.exit(main())
