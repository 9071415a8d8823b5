"""Published numbers that are not as committed are refused by every command, in a line or three."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from experiments import compile, reproduce, train
from experiments.papers import sums
from experiments.report import __main__ as report
from experiments.sharing import compare, wandb_sync
from experiments.verdicts import check
from records.command import CommandError
from records.exits import BAD_CONFIG
from records.files import ROOT

QUEUE = str(ROOT / "experiments" / "queue.txt")
COMMANDS: dict[str, tuple[Callable, list[str]]] = {
    "table": (compile.main, ["table", "he2015_residual/table6"]),
    "figure": (compile.main, ["figure", "he2015_residual/fig6"]),
    "claims": (compile.main, ["table", "claims"]),
    "reproduce": (reproduce.main, ["--plan", "--preset", "paper"]),
    "train": (train.main, ["--plan", "--preset", "paper", "--runs", QUEUE]),
    "report": (report.main, []),
    "check": (check.main, []),
    "compare": (compare.main, ["results", "results"]),
    "wandb-sync": (wandb_sync.main, []),
}


def forget() -> None:
    """Empty every cache of what was read, in the rooms of the papers and their verdicts."""
    for name, module in list(sys.modules.items()):
        if name.startswith("experiments."):
            for thing in vars(module).values():
                if hasattr(thing, "cache_clear"):
                    thing.cache_clear()


@pytest.fixture
def fresh() -> Iterator[None]:
    forget()
    yield
    forget()


def test_the_sums_are_those_of_the_files() -> None:
    named = {line.split("  ")[1] for line in sums.SUMS.read_text().splitlines()}
    assert named == {path.relative_to(sums.RESULTS).as_posix() for path in sums.files()}
    for path in sums.files():
        assert sums.committed(path) == path


@pytest.mark.parametrize("path", sums.files(), ids=lambda path: path.name)
def test_no_byte_of_them_changes_unseen(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    monkeypatch.setattr(Path, "read_bytes", lambda _: bytes(content))
    with pytest.raises(CommandError, match=f"{path.name} is not as committed"):
        sums.committed(path)


@pytest.mark.usefixtures("fresh")
def test_only_the_sums_of_named_files_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = sums.SUMS.read_text().splitlines()
    kept = [line for line in known if not line.endswith(("paper/papers.csv", " rows.csv"))]
    monkeypatch.setattr(sums, "SUMS", tmp_path / "sha256.txt")
    sums.SUMS.write_text("\n".join(kept) + "\n")
    assert sums.main(["rows.csv"]) == 0
    assert capsys.readouterr().out == "rows.csv: changed\n"
    expected = [line for line in known if not line.endswith("paper/papers.csv")]
    assert sums.SUMS.read_text().splitlines() == expected


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_refuses_them(
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OUTPUT_DIR", str(tmp_path))
    monkeypatch.setattr(sums, "_digest", lambda path: "0" * 64)
    main, arguments = COMMANDS[name]
    code = main(arguments) if arguments or "arguments" in main.__annotations__ else main()
    printed = capsys.readouterr().err
    assert code == BAD_CONFIG, printed
    assert "is not as committed" in printed and printed.count("\n") <= 3
