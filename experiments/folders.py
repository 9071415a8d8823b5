"""Where runs and what is compiled from them lie."""

import os
from pathlib import Path


def output_folder() -> Path:
    """Where unfinished and shortened runs go, and what is compiled from the latter."""
    return Path(os.environ.get("OUTPUT_DIR", "outputs"))


def result_folder() -> Path:
    """Where records of full recipes go, and what is compiled from them."""
    return Path(os.environ.get("RESULTS_DIR", "results"))


def runs_folder(preset: str) -> Path:
    """Where the finished records of a preset lie."""
    return result_folder() / "runs" if preset == "paper" else output_folder() / "runs" / preset


def compiled_folder(preset: str) -> Path:
    """Where tables/ and figures/ of a preset go."""
    return result_folder() if preset == "paper" else output_folder() / preset
