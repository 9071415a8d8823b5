"""The configuration of a record as a stranger may have written it."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from records.config import MAX_BYTES, read_config
from records.files import ROOT
from records.record import RecordError
from training.settings.checks import checked
from training.settings.settings import Settings
from training.settings.types import ConfigError

OURS = sorted((ROOT / "results").rglob("config.yaml"))
ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]\n" for n in range(1, 12)
)
ATTACKS = {
    "a secret": "seed: ${oc.env:SECRET}",
    "a secret, decoded": "data: {source: '${oc.decode:${oc.env:SECRET}}'}",
    "a reference": "seed: ${recipe.batch}",
    "aliases by the billion": ALIASES,
    "an anchor": "seed: &one 1",
    "a tag that runs code": "seed: !!python/object/apply:os.system [touch marker]",
    "any tag": "seed: !!str 1",
    "a deep nest": "a: " + "[" * 500 + "]" * 500,
    "a deeper nest": "a: " + "[" * 50_000 + "]" * 49_000,
    "a nest of mappings": "".join(f"{' ' * n}a{n}:\n" for n in range(200)),
    "much": "a: " + "x" * MAX_BYTES,
    "no mapping": "- 1\n- 2",
    "nothing": "",
    "numbers for names": "1: 2",
    "two documents": "a: 1\n---\nb: 2",
    "an open bracket": "a: [1",
    "a conflict": "<<<<<<< HEAD\na: 1\n",
    "a tab": "a:\n\tb: 1",
    "an impossible date": "seed: 2026-99-99",
    "a date": "seed: 2020-01-01",
    "a time": "data: {source: 2020-01-01 10:00:00}",
    "a set": "model: {? a, ? b}\nseed: {1: 2}",
    "bytes": "seed: [[{5: x}]]",
    "a control character": "a: '\x1b[31m'",
}


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.parent.parent.parent.name)
def test_ours_are_read_as_omegaconf_reads_them(path: Path) -> None:
    assert read_config(path) == OmegaConf.to_container(OmegaConf.load(path))


@pytest.mark.parametrize("name", ATTACKS)
def test_what_no_run_has_written_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "the-secret")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config.yaml"
    path.write_text(ATTACKS[name], encoding="utf-8")
    with pytest.raises(RecordError) as error:
        read_config(path)
    text = str(error.value)
    assert "the-secret" not in text and str(path) in text and text.count("\n") < 3
    assert "\x1b" not in text and not (tmp_path / "marker").exists()


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    for number, content in enumerate((b"\xff\xfe\x00", b"\x00" * 10, b"a: \xc3\x28")):
        path = tmp_path / f"{number}.yaml"
        path.write_bytes(content)
        with pytest.raises(RecordError):
            read_config(path)


def damaged(text: str, rng: random.Random) -> str:
    """A configuration with one thing that is not as a run has written it."""
    lines, place = text.splitlines(), rng.randrange(len(text.splitlines()))
    key, _, value = lines[place].partition(":")
    odd = (
        "null", "-1", "1e400", ".nan", "''", "[]", "{}", "10000000000", "60002", "true", "x y",
        "0x7fffffffffffffff", "models.resnet.Nothing", "os.system", "[1, [2]]", "\u202e",
    )  # fmt: skip
    changes: list[Callable[[], list[str]]] = [
        lambda: [*lines[:place], f"{key}: {rng.choice(odd)}", *lines[place + 1 :]],
        lambda: [*lines[:place], *lines[place + 1 :]],
        lambda: [*lines[: place + 1], lines[place], *lines[place + 1 :]],
        lambda: [*lines[:place], f"{key}x:{value}", *lines[place + 1 :]],
        lambda: [*lines[:place], f"  {lines[place]}", *lines[place + 1 :]],
        lambda: lines[:place],
    ]
    changed = "\n".join(rng.choice(changes)()) + "\n"
    if rng.random() < 0.3:
        at = rng.randrange(len(changed))
        changed = changed[:at] + chr(rng.randrange(1, 0x250)) + changed[at + 1 :]
    return changed


@given(rng=st.randoms(use_true_random=False))
def test_damaged_configurations_are_read_or_refused(
    rng: random.Random, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of one that can be read, settings are made, or one of its values is named."""
    path = tmp_path_factory.getbasetemp() / "config.yaml"
    path.write_text(damaged(OURS[0].read_text(encoding="utf-8"), rng), encoding="utf-8")
    try:
        plain = read_config(path)
    except RecordError as error:
        assert str(error).count("\n") < 3
        return
    machine = {"device": "cpu", "engine": "auto", "deterministic": True, "threads": None,
               "workers": None, "runs_at_once": 1, "checkpoint_seconds": 60, "output_dir": "o",
               "results_dir": "r", "logger": {"name": "none"}}  # fmt: skip
    known = {key: plain[key] for key in plain if key in Settings.__dataclass_fields__}
    if isinstance(known.get("data"), dict):
        known["data"]["folder"] = "datasets"
    try:
        assert isinstance(checked({**known, **machine}), Settings)
    except ConfigError as error:
        assert str(error).count("\n") < 3
