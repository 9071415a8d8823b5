"""What is measured of a loop, and how two are compared."""

from dataclasses import dataclass, field
from statistics import median


@dataclass
class Times:
    """What a loop took.

    Attributes:
        start: seconds from making it to the end of its first step.
        first: seconds of that first step.
        second: seconds of a later one, by the same clock.
        seconds: of every step, or of the mean step of a piece, after warming up: CPU-seconds on a
            CPU, on a GPU the time between two events.
        steps: measured in all.
        memory: bytes that its steps took at most.
        kernels: and copies of a step on a GPU.
    """

    start: float
    first: float = 0.0
    second: float = 0.0
    seconds: list[float] = field(default_factory=list)
    steps: int = 0
    memory: int = 0
    kernels: int | None = None

    @property
    def compile(self) -> float:
        """Seconds that the first step took longer than a later one: compiling, capturing."""
        return max(0.0, self.first - self.second)


def paired_ratio(base: list[float], other: list[float]) -> float:
    """How many times faster than `base`, round by round: the median."""
    return median(a / b for a, b in zip(base, other, strict=True))
