"""Bundles: what goes out comes in again as it was; what is damaged, foreign or harmful does not."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments import bundle

GOLDEN = Path(__file__).parent / "golden" / "runs"
RUN = "he2015_residual/table6/resnet20/cifar10_aug/seed0"
OTHER = "he2015_residual/table6/resnet32/cifar10_aug/seed0"


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle of two made records, one with weights."""
    results = tmp_path / "theirs"
    monkeypatch.setenv("RESULTS_DIR", str(results))
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "none"))
    for run in (RUN, OTHER):
        shutil.copytree(GOLDEN / run, results / "runs" / run)
        (results / "runs" / run / "config.yaml").write_text("seed: 0\n")
    weights = results / "weights" / f"{RUN}.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    summary = results / "runs" / RUN / "summary.json"
    digest = hashlib.sha256(b"weights").hexdigest()
    summary.write_text(json.dumps(json.loads(summary.read_text()) | {"weights": digest}))
    assert bundle.main(["--out", str(tmp_path / "bundle.zip")]) == 0
    return tmp_path / "bundle.zip"


@pytest.fixture
def take(tmp_path: Path) -> Callable[[Path], int]:
    """Import a bundle into a folder of its own; the exit code."""
    return lambda path: bundle.main(["--take", str(path), "--into", str(tmp_path / "ours")])


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "NOTE.md"
    }


def rewrite(path: Path, change: Callable[[dict[str, bytes]], None], *, sums: bool = True) -> None:
    """Make a bundle again with other content, and, with `sums`, checksums that fit it."""
    with zipfile.ZipFile(path) as file:
        content = {name: file.read(name) for name in file.namelist()}
    change(content)
    if sums and "manifest.json" in content:
        manifest = json.loads(content["manifest.json"])
        manifest["sha256"] = {
            name: hashlib.sha256(data).hexdigest()
            for name, data in content.items()
            if name != "manifest.json"
        }
        content["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, data in content.items():
            file.writestr(name, data)


def test_what_goes_out_comes_in(packed: Path, take: Callable, tmp_path: Path) -> None:
    assert take(packed) == 0
    assert files(tmp_path / "ours") == files(tmp_path / "theirs")
    note = tmp_path / "ours" / "runs" / RUN / "NOTE.md"
    assert note.read_text(encoding="utf-8") == "Imported from bundle.zip.\n"


def test_the_same_records_give_the_same_bytes(packed: Path, tmp_path: Path) -> None:
    assert bundle.main(["--out", str(tmp_path / "again.zip")]) == 0
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()


def test_only_some_rows(packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--rows", "he2015_residual/table6/resnet32", "--out", str(tmp_path / "few.zip")]
    assert bundle.main(few) == 0
    with zipfile.ZipFile(tmp_path / "few.zip") as file:
        assert {Path(name).parent.as_posix() for name in file.namelist()} == {
            ".", f"runs/{OTHER}",
        }  # fmt: skip
    assert bundle.main(["--rows", "nothing"]) == 2
    assert "holds no record of nothing" in capsys.readouterr().err


def test_importing_again_changes_nothing(
    packed: Path, take: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    take(packed)
    before = files(tmp_path / "ours")
    assert take(packed) == 0
    assert capsys.readouterr().out.count("already here") == 2
    assert files(tmp_path / "ours") == before


def test_ours_is_never_replaced(
    packed: Path, take: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = tmp_path / "ours" / "runs" / RUN
    shutil.copytree(GOLDEN / RUN, ours)
    before = files(ours)
    assert take(packed) == 1
    assert f"{RUN}: refused: another record is here already" in capsys.readouterr().out
    assert files(ours) == before
    assert (tmp_path / "ours" / "runs" / OTHER / "summary.json").exists()


def flip(name: str) -> Callable[[dict[str, bytes]], None]:
    def change(content: dict[str, bytes]) -> None:
        content[name] = content[name][:-1] + bytes([content[name][-1] ^ 1])

    return change


def test_a_damaged_file_is_named_and_nothing_imported(
    packed: Path, take: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"runs/{OTHER}/metrics.csv"
    rewrite(packed, flip(name), sums=False)
    assert take(packed) == 2
    assert f"{name} is damaged" in capsys.readouterr().err
    assert not files(tmp_path / "ours") and not list((tmp_path / "ours").iterdir())


@pytest.mark.parametrize("size", [0, 100, 1000])
def test_a_truncated_bundle_is_refused(
    size: int, packed: Path, take: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    packed.write_bytes(packed.read_bytes()[:size])
    assert take(packed) == 2
    err = capsys.readouterr().err
    assert "is no bundle, or damaged" in err and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "name",
    [
        "../evil", "/evil", f"runs/{RUN}/../../../../../../../evil", f"runs/{RUN}/evil.py",
        "runs/summary.json", f"weights/{RUN}.pt", f"weights/{OTHER}/x.safetensors",
        f"runs\\{RUN}\\NOTE.md",
    ],
)  # fmt: skip
def test_names_that_lead_elsewhere_are_refused(
    name: str, packed: Path, take: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(packed, lambda content: content.update({name: b"x"}))
    assert take(packed) == 2
    assert "is no part of a record" in capsys.readouterr().err
    assert not list(tmp_path.rglob("evil*")) and not files(tmp_path / "ours")


def test_runs_that_lead_elsewhere_are_refused(packed: Path, take: Callable) -> None:
    def change(content: dict[str, bytes]) -> None:
        manifest = json.loads(content["manifest.json"]) | {"runs": ["../../evil"]}
        content["manifest.json"] = json.dumps(manifest).encode()

    rewrite(packed, change, sums=False)
    assert take(packed) == 2


def set_summary(**values: object) -> Callable[[dict[str, bytes]], None]:
    def change(content: dict[str, bytes]) -> None:
        name = f"runs/{RUN}/summary.json"
        content[name] = json.dumps(json.loads(content[name]) | values).encode()

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_summary(run=OTHER, experiment=OTHER.rsplit("/", 2)[0]), "holds the record of"),
        (set_summary(experiment="a/b/$(id)"), "its names do not fit together"),
        (set_summary(seconds="x"), "seconds is no number"),
        (set_summary(iterations=63000), "metrics.csv ends at iteration 64,000"),
        (set_summary(version=99), "of another version"),
        (set_summary(weights="0" * 64), "its weights are others"),
        (lambda content: content.pop(f"runs/{RUN}/config.yaml"), "config.yaml is missing"),
        (lambda content: content.update({f"runs/{RUN}/metrics.csv": b"\xff"}), "metrics.csv is"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused_alone(
    change: Callable, reason: str, packed: Path, take: Callable, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    rewrite(packed, change)
    assert take(packed) == 1
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith(f"{RUN}: refused")]
    assert reason in line and str(tmp_path / "ours") not in line
    assert not (tmp_path / "ours" / "runs" / RUN).exists()
    assert (tmp_path / "ours" / "runs" / OTHER).exists()


def test_a_foreign_recipe_is_imported_and_said_to_enter_no_table(
    packed: Path, take: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(packed, set_summary(recipe="0" * 16))
    assert take(packed) == 0
    assert "enters no table: its configuration is not the row's" in capsys.readouterr().out


def test_a_record_that_contradicts_itself_is_not_sent(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "theirs" / "weights" / f"{RUN}.safetensors").write_bytes(b"others")
    assert bundle.main(["--out", str(tmp_path / "no.zip")]) == 2
    assert "contradicts itself" in capsys.readouterr().err and not (tmp_path / "no.zip").exists()


def test_damage_anywhere_in_the_file_is_noticed(
    packed: Path, take: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sixteen bytes at every place; what is not noticed changes nothing that is imported."""
    whole = packed.read_bytes()
    assert take(packed) == 0
    expected = files(tmp_path / "ours")
    for place in range(0, len(whole) - 16, 40):
        shutil.rmtree(tmp_path / "ours")
        packed.write_bytes(whole[:place] + bytes(16) + whole[place + 16 :])
        if take(packed) == 0:
            assert files(tmp_path / "ours") == expected, place
        else:
            assert len(capsys.readouterr().err.splitlines()) <= 1, place


@pytest.mark.parametrize("change", [{"sha256": 5}, {"runs": None}, {"version": 9}, {"runs": [[]]}])
def test_a_manifest_of_anything_is_refused(
    change: dict[str, object], packed: Path, take: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    def damage(content: dict[str, bytes]) -> None:
        manifest = json.loads(content["manifest.json"]) | change
        content["manifest.json"] = json.dumps(manifest).encode()

    rewrite(packed, damage, sums=False)
    assert take(packed) == 2
    assert "is no bundle, or damaged" in capsys.readouterr().err


def test_weights_that_are_there_are_kept_and_missing_ones_taken(
    packed: Path, take: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "ours" / "weights" / f"{RUN}.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"ours")
    assert take(packed) == 1
    assert "refused: other weights are here already" in capsys.readouterr().out
    assert weights.read_bytes() == b"ours" and not (tmp_path / "ours" / "runs" / RUN).exists()
    weights.unlink()
    assert take(packed) == 0
    weights.unlink()
    assert take(packed) == 0 and weights.read_bytes() == b"weights"


def test_a_note_that_is_no_text_and_a_run_named_twice(
    packed: Path, take: Callable, tmp_path: Path
) -> None:
    def change(content: dict[str, bytes]) -> None:
        content[f"runs/{OTHER}/NOTE.md"] = b"\xff"
        manifest = json.loads(content["manifest.json"])
        content["manifest.json"] = json.dumps(manifest | {"runs": [RUN, OTHER, RUN]}).encode()

    rewrite(packed, change)
    assert take(packed) == 0
    assert (tmp_path / "ours" / "runs" / OTHER / "NOTE.md").exists()


def test_what_no_import_takes_is_not_packed(
    packed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(bundle, "LARGEST", 5)
    assert bundle.main(["--out", str(tmp_path / "large.zip")]) == 2
    assert "is larger than" in capsys.readouterr().err


def test_a_bundle_that_is_not_there(take: Callable, tmp_path: Path) -> None:
    assert take(tmp_path / "none.zip") == 2
