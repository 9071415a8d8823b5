"""The summary of a run: its numbers, the machine behind them, and what it takes to trust them."""

import resource
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import torch

from records.processor import processor
from records.record import Row
from records.schema import LONGEST
from training.engines.graph import Captured
from training.recipe.evaluate import evaluate
from training.settings.network import network_size, rebuilt
from training.settings.settings import Settings
from training.trainer import Trainer
from training.weights.export import exported


def summarise(
    settings: Settings,
    trainer: Trainer,
    *,
    rows: list[Row],
    seconds: float,
    code: list[str],
    devices: list[str],
) -> dict[str, Any]:
    """What summary.json says of the training and the machine.

    Args:
        rows: the metrics of every evaluation.
        seconds: of training, evaluation excluded.
        code: hashes of the code of all processes that worked on the run.
        devices: all devices that the run was trained on, in order.
    """
    device = trainer.mean.device
    images = trainer.batches.span(trainer.iteration - 1)[1]
    last = rows[-1]
    processes = 1 if trainer.replicas is None else trainer.replicas.count
    return {
        "iterations": trainer.iteration,
        **network_size(settings),
        "test_error": {**test_errors(rows), "exported": exported_error(settings, trainer)},
        "test_loss": last["test_loss"],
        "train_loss": last["train_loss"],
        "train_error": last["train_error"],
        "seconds": round(seconds, 1),
        "images_per_second": round(images / seconds, 1) if seconds else None,
        "peak_memory_bytes": peak_memory(device),
        **machine(device),
        **({"device": in_turn(devices)} if len(devices) > 1 else {}),
        "precision": effective_precision(settings, device),
        "processes": processes,
        "bn_batch": settings.recipe.batch // processes,
        "runs_at_once": settings.runs_at_once,
        "engine": trainer.engine.name,
        **({"engine_reason": reason} if (reason := why_not_fastest(trainer)) else {}),
        "deterministic": settings.deterministic,
        **trainer.batches.facts(),
        "code": code,
    }


def why_not_fastest(trainer: Trainer) -> str | None:
    """Why the steps were not executed as fast as they could be, or None."""
    fault = trainer.step.fault if isinstance(trainer.step, Captured) else None
    return trainer.engine.reason or (f"run eagerly: {fault}" if fault else None)


def test_errors(rows: list[Row]) -> dict[str, float | None]:
    """Test error in percent at the last iteration, at its lowest, and at the lowest validation
    error."""
    validated = [row for row in rows if "val_error" in row]
    chosen = min(validated, key=lambda row: row["val_error"])["test_error"] if validated else None
    return {
        "last": rows[-1]["test_error"],
        "best": min(row["test_error"] for row in rows),
        "at_best_val": chosen,
    }


def exported_error(settings: Settings, trainer: Trainer) -> float:
    """Test error in percent of the weights as exported, evaluated in float32."""
    model = rebuilt(settings, exported(trainer.weights()), trainer.mean.device)
    images, labels = trainer.splits["test"]
    tf32 = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        scale, mean = trainer.scale, trainer.mean
        error = evaluate(model, images, labels, mean=mean, scale=scale, bf16=False)[1]
        return round(error, 4)
    finally:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32


def effective_precision(settings: Settings, device: torch.device) -> str:
    """The precision in effect: `tf32` computes in float32 on CPUs and on GPUs before sm_80."""
    if settings.precision != "tf32":
        return settings.precision
    has_tf32 = device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 8
    return "tf32" if has_tf32 else "fp32"


def machine(device: torch.device) -> dict[str, Any]:
    """Device, driver and software versions."""
    return {
        "device": name_of(device),
        "driver": _driver() if device.type == "cuda" else None,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def name_of(device: torch.device, processes: int = 1) -> str:
    """The name of a device, with how many share a run, such as `2 x NVIDIA H100 80GB HBM3`."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    return name if processes == 1 else f"{processes} x {name}"


def in_turn(devices: Sequence[str]) -> str:
    """The devices of a run in order, or just their number if that is too long for a record."""
    whole = ", then ".join(devices)
    return whole if len(whole) <= LONGEST else f"{len(devices)} devices in turn"


def reset_peak_memory(device: torch.device) -> None:
    """Forget the GPU memory used by earlier runs in the same process."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int:
    """Peak memory so far, in bytes: of the GPU, or of the process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _driver() -> str | None:
    try:
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        result = subprocess.run(query, check=False, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip().splitlines()[0] if result.stdout.strip() else None
