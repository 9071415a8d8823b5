"""How commands end that cannot do what they are asked, and what terminals they write to."""

import errno
import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import compile as compiling
from experiments import status
from records.command import CommandError, guarded
from records.exits import BAD_CONFIG, FAILED, INTERRUPTED
from records.files import ROOT, FolderError, write_atomically
from records.record import RecordError

MAKEFILE = (ROOT / "Makefile").read_text()
ENDINGS = {
    "asked for nothing": (CommandError("no such table"), BAD_CONFIG),
    "a damaged record": (RecordError("x is damaged"), BAD_CONFIG),
    "a folder": (FolderError("x cannot be written"), BAD_CONFIG),
    "Ctrl-C": (KeyboardInterrupt(), INTERRUPTED),
    "read-only": (OSError(errno.EROFS, "Read-only file system", "x"), FAILED),
    "not ours": (PermissionError(errno.EACCES, "Permission denied", "x"), FAILED),
    "a full disk": (OSError(errno.ENOSPC, "No space left on device", "x"), FAILED),
    "a broken disk": (OSError(errno.EIO, "Input/output error", "x"), FAILED),
    "a long name": (OSError(errno.ENAMETOOLONG, "File name too long", "x"), BAD_CONFIG),
    "a folder in the way": (OSError(errno.EISDIR, "Is a directory", "a", None, "x"), FAILED),
    "no place": (OSError("something"), FAILED),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_command_ends_with_a_line_and_a_code(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error, code = ENDINGS[name]

    @guarded
    def main() -> int:
        raise error

    assert main() == code
    text = capsys.readouterr().err
    assert text.count("\n") == 1 and "Traceback" not in text
    assert getattr(error, "errno", None) is None or text.startswith("x: ")


def test_bugs_are_not_hidden() -> None:
    @guarded
    def main() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        main()


def test_none_is_success() -> None:
    assert guarded(lambda: None)() == 0


def test_a_pipe_that_is_closed_early_is_no_traceback() -> None:
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        sys.stdout = os.fdopen(writable, "w", 1)
        os._exit(guarded(lambda: print("x" * 100))())
    os.close(writable)
    os.close(readable)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) in (0, FAILED)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_commands_write_to_any_terminal(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESULTS_DIR", str(tmp_path / "Ergebnisse, größer"))
    monkeypatch.setenv("OUTPUT_DIR", str(tmp_path / "outputs"))
    monkeypatch.setattr(sys, "argv", ["command"])
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding, "strict"))
    assert compiling.main(["table", "he2015_residual/table6"]) == 0
    assert compiling.main(["table", "claims"]) == 0
    assert status.main() == 0
    sys.stdout.flush()
    text = written.getvalue().decode(encoding)
    assert "6.61" in text and ("±" in text) == (encoding != "ascii")
    for path in tmp_path.rglob("*.csv"):  # as spreadsheets take them, which guess an encoding
        assert path.read_bytes().isascii(), path
    assert len(list(tmp_path.rglob("*.csv"))) == 2


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_what_was_there_is_intact_where_writing_fails(
    call: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, "before")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match=os.strerror(number)):
        write_atomically(path, b"after")
    assert path.read_text() == "before" and [p.name for p in tmp_path.iterdir()] == ["file"]


MODULES = set(re.findall(r"-m ((?:experiments|training|data)[.\w]*)", MAKEFILE))


@pytest.mark.parametrize("module", sorted(MODULES - {"experiments.papers.sums"}))  # starts at once
def test_ctrl_c_while_a_command_is_imported_shows_no_traceback(module: str, tmp_path: Path) -> None:
    """Every command of the Makefile, while it imports the first of the large packages."""
    for package in ("numpy", "pandas", "torch"):
        (tmp_path / f"{package}.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)")
    ended = subprocess.run(
        [sys.executable, "-m", module], check=False, capture_output=True, text=True, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
    )  # fmt: skip
    assert ended.returncode == -signal.SIGINT and not ended.stderr, ended.stderr
