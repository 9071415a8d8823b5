"""Check everything a run depends on, a line each: `make doctor`.

Takes under a minute on a CPU, two on a GPU. A problem report should contain its output
(`make doctor > file`).
"""

import sys
from collections.abc import Sequence

from records.command import argument_parser, guarded
from training.doctor.finding import Check, findings


def main() -> int:
    """Run every check; exit code 0, or 1 if something would keep runs from working."""
    try:
        from training.doctor import gpu, host, speed
    except (ImportError, OSError) as error:  # a broken installation
        print(f"FAIL  packages      {error}\n{'':20}make setup, after deleting .venv")
        return 1
    return look((*host.CHECKS, *gpu.CHECKS, *speed.CHECKS))


@guarded
def look(checks: Sequence[Check]) -> int:
    """Print the findings of each check and return the exit code."""
    failed = 0
    for check in checks:
        for finding in findings(check):
            print(finding, flush=True)
            failed += finding.mark == "FAIL"
    some = f"{failed} problem{'s' if failed > 1 else ''}."
    print(f"\n{some}" if failed else "\nThis machine is ready to train.")
    return int(failed > 0)


if __name__ == "__main__":
    argument_parser(__doc__).parse_args()
    sys.exit(main())
