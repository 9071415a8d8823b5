"""What README and docs tell a reader to type."""

import re
from dataclasses import dataclass
from pathlib import Path

from records.files import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = ("make ", "python ", "torchrun ", "wandb ", "pip ", "git ")
# What a command may take beyond seconds of a CPU and CIFAR-10; it is said in brackets behind it.
NEEDS = {
    "minutes", "hours", "a GPU", "two GPUs", "eight GPUs", "ImageNet", "Imagenette", "Slurm",
    "a network", "an account", "a terminal", "images of your own",
}  # fmt: skip


@dataclass(frozen=True)
class Typed:
    """A command of a page, and what the brackets behind it say that it needs."""

    page: str
    command: str
    needs: frozenset[str]


def blocks(page: Path) -> list[list[str]]:
    """The indented blocks of a page, and the fenced ones, without their indentation."""
    found: list[list[str]] = [[]]
    fenced = False
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = line.startswith("```")
        fenced ^= fence
        if not fence and (fenced or line.startswith("    ")):
            found[-1].append(line if fenced else line[4:])
        elif found[-1] and (fence or line.strip()):
            found.append([])
    return [block for block in found if block]


def commands(page: Path) -> list[Typed]:
    """The lines of a page that a reader would type into a shell."""
    return [
        Typed(page.name, *_parted(line))
        for block in blocks(page)
        for line in block
        if line.startswith(PROGRAMS)
    ]


def python_blocks(page: Path) -> list[str]:
    """The blocks of a page that a reader would type into Python."""
    starts = re.compile(r"import |from |\w+ = ")
    return ["\n".join(block) for block in blocks(page) if starts.match(block[0])]


def _parted(line: str) -> tuple[str, frozenset[str]]:
    """A command without its comment, and what that says in brackets at its end."""
    command, _, comment = line.partition(" #")
    needs = re.search(r"\(([^()]*)\)$", comment.strip())
    stated = frozenset(needs[1].split(", ")) if needs else frozenset[str]()
    return command.strip(), stated & NEEDS
