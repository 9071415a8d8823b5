"""Whether the code of a run is that of its commit."""

import subprocess
from pathlib import Path

import pytest

from records import code


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed checkout of the same folders."""
    for name in code.CODE:
        path = tmp_path / name
        if path.suffix:
            path.write_text("x = 1\n")
        else:
            path.mkdir()
            (path / "one.py").write_text("x = 1\n")
    (tmp_path / "conf" / "one.yaml").write_text("x: 1\n")
    (tmp_path / "README.md").write_text("read me\n")
    for command in (["init", "-q"], ["add", "-A"],
                    ["-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "m"]):  # fmt: skip
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(code, "ROOT", tmp_path)
    assert code.commit()["clean"] is True
    return tmp_path


IDLE = ("data/cifar/images.bin", "conf/.ipynb_checkpoints/a.txt", "README.md", "notes.py",
        "data/odd name.npz", "models/__pycache__/one.cpython-312.pyc")  # fmt: skip
DECIDING = ("data/one.py", "conf/one.yaml", "conf/new folder/two.yaml", "models/deep/er/two.py",
            "train.py")  # fmt: skip


@pytest.mark.parametrize("name", [*IDLE, *DECIDING])
def test_only_files_that_decide_a_run_count(name: str, checkout: Path) -> None:
    before = code.code_hash()
    path = checkout / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x = 2\n")
    assert code.commit()["clean"] is (name in IDLE)
    assert (code.code_hash() == before) is (name in IDLE)


def test_names_that_are_no_text(checkout: Path) -> None:
    path = bytes(checkout / "data") + b"/caf\xe9.jpg"
    with open(path, "wb"):  # noqa: PTH123
        pass
    assert code.commit()["clean"] is True
    with open(bytes(checkout / "data") + b"/caf\xe9.py", "wb"):  # noqa: PTH123
        pass
    assert code.commit()["clean"] is False


def test_a_file_that_is_gone_counts(checkout: Path) -> None:
    (checkout / "models" / "one.py").unlink()
    assert code.commit()["clean"] is False


def test_the_owner_and_the_mode_of_files_do_not_count(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container, where the checkout is another user's, or where files have no modes."""
    commit = code.commit()["commit"]
    (checkout / "models" / "one.py").chmod(0o755)
    assert code.commit() == {"commit": commit, "clean": True}
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert code.commit() == {"commit": commit, "clean": True}
    (checkout / "models" / "one.py").write_text("x = 2\n")
    assert code.commit() == {"commit": commit, "clean": False}


def test_a_hook_of_another_repository_changes_nothing(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    commit, other = code.commit()["commit"], tmp_path_factory.mktemp("other")
    subprocess.run(["git", "init", "-q"], cwd=other, check=True)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    assert code.commit() == {"commit": commit, "clean": True}


def test_the_code_of_a_commit_has_the_hash_it_had(checkout: Path) -> None:
    (checkout / "models" / "deep").mkdir()
    (checkout / "models" / "deep.py").write_text("x = 3\n")
    (checkout / "models" / "deep" / "two.py").write_text("x = 2\n")
    subprocess.run(["git", "add", "-A"], cwd=checkout, check=True)
    arguments = ["-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "m"]
    subprocess.run(["git", *arguments], cwd=checkout, check=True)
    commit, before = code.commit()["commit"], code.code_hash()
    (checkout / "models" / "one.py").write_text("x = 2\n")
    assert code.committed_hash(commit) == before != code.code_hash()


@pytest.mark.parametrize("commit", ["", "0" * 40, "HEAD", "--output=x", "\ud800"])
def test_a_commit_that_is_not_there_has_no_hash(commit: str, checkout: Path) -> None:
    assert code.committed_hash(commit) is None
