"""What is compared: networks by their rows, and for each the loops that are worth measuring."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from training.bench.loops import Step, compiled_model, conventional, ours

Make = Callable[[], Step]
TABLE6, TABLE2 = "he2015_residual/table6", "he2016_identity/table2"
RESNET20, RESNET110 = f"{TABLE6}/resnet20", f"{TABLE6}/resnet110"
DENSENET = "huang2017_dense/table2"
STOCHASTIC = "huang2016_stochastic/table1/resnet110_stochastic"
CONSTANT = "huang2016_stochastic/table1/resnet110_constant"
ENGINES = ("eager", "captured", "compiled", "fused")


@dataclass(frozen=True)
class Case:
    """One network: its row, the loops compared on it, and how often each takes its turn."""

    row: str
    loops: Mapping[str, Make]
    rounds: int

    @property
    def name(self) -> str:
        return self.row.rpartition("/")[2]


def cpu_cases() -> list[Case]:
    """Comparisons for a CPU: many rounds of a small network, a few of deep ones."""

    def case(row: str, rounds: int, **loops: Make) -> Case:
        usual: dict[str, Make] = {
            "conventional": partial(conventional, row, "cpu", "threads=1"),
            "eager": partial(ours, row, "cpu", "threads=1", "engine=eager"),
        }
        return Case(row, usual | loops, rounds)

    def changed(row: str, *overrides: str) -> Make:
        return partial(ours, row, "cpu", "threads=1", *overrides)

    densenet = f"{DENSENET}/densenet_bc_100_12"
    return [
        case(
            RESNET20, 40,
            compiled=changed(RESNET20, "engine=compiled"),
            compiled_model=partial(compiled_model, RESNET20, "cpu", "threads=1"),
        ),
        case(RESNET110, 3),
        case(f"{TABLE2}/full_preact_164", 2),
        case(densenet, 3, efficient=changed(densenet, "engine=eager", "model.efficient=true")),
        Case(
            STOCHASTIC,
            {
                "constant_depth": changed(CONSTANT, "engine=eager"),
                "skipping": changed(STOCHASTIC, "engine=eager"),
            },
            12,
        ),
    ]  # fmt: skip


def gpu_cases() -> list[Case]:
    """Comparisons for a GPU: every engine on every network, in both precisions where it counts."""

    def engine(row: str, name: str, precision: str) -> Make:
        return partial(ours, row, "cuda", f"engine={name}", f"precision={precision}")

    def case(row: str) -> Case:
        loops: dict[str, Make] = {"conventional": partial(conventional, row, "cuda")}
        loops |= {f"{name} {p}": engine(row, name, p) for p in PRECISIONS for name in ENGINES}
        loops["compiled_model tf32"] = partial(compiled_model, row, "cuda", "precision=tf32")
        return Case(row, loops, 200)

    rows = [RESNET20, RESNET110, f"{TABLE2}/full_preact_164", f"{DENSENET}/densenet_40_12",
            f"{DENSENET}/densenet_bc_100_12"]  # fmt: skip
    depth = {
        "constant_depth fused tf32": engine(CONSTANT, "fused", "tf32"),
        "skipping tf32": engine(STOCHASTIC, "eager", "tf32"),
        "gates captured tf32": engine(STOCHASTIC, "captured", "tf32"),
        "gates fused tf32": engine(STOCHASTIC, "fused", "tf32"),
    }
    scale = {
        f"fused tf32 depth {d}": partial(ours, RESNET20, "cuda", f"model.depth={d}", "engine=fused")
        for d in (20, 56, 110, 1202)
    } | {
        f"fused tf32 batch {b}": partial(ours, RESNET20, "cuda", f"recipe.batch={b}",
                                         "engine=fused")
        for b in (64, 128, 256)
    }  # fmt: skip
    return [*map(case, rows), Case(STOCHASTIC, depth, 200), Case(RESNET20, scale, 100)]


PRECISIONS = ("tf32", "bf16")
