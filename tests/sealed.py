"""Records that tests make up: with a checksum that fits, as every record has one."""

import json
from pathlib import Path
from typing import Any

from records.names import SUMMARY
from records.record import CHECKSUM, checksum


def seal(folder: Path, **changes: Any) -> None:
    """Change values in the summary of the record in a folder, and have its checksum fit."""
    path = folder / SUMMARY
    summary = json.loads(path.read_text(encoding="utf-8")) | changes
    summary[CHECKSUM] = checksum(folder, summary)
    path.write_text(json.dumps(summary), encoding="utf-8")
