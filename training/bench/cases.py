"""What is compared: on each network, the loops that are worth measuring beside each other."""

from dataclasses import dataclass

from training.bench import loops
from training.settings import Settings

TABLE6, TABLE2 = "he2015_residual/table6", "he2016_identity/table2"
DENSE, DEPTH = "huang2017_dense/table2", "huang2016_stochastic/table1"
RESNET20, RESNET110 = f"{TABLE6}/resnet20", f"{TABLE6}/resnet110"
PREACT164 = f"{TABLE2}/full_preact_164"
DENSE40, DENSE100 = f"{DENSE}/densenet_40_12", f"{DENSE}/densenet_bc_100_12"
STOCHASTIC, CONSTANT = f"{DEPTH}/resnet110_stochastic", f"{DEPTH}/resnet110_constant"
AT_ONCE = (1, 2, 4, 8)


@dataclass(frozen=True)
class Loop:
    """One way to train a network, and how it is called in the table.

    Attributes:
        row: the experiment whose network, batch and data it has.
        kind: which of `training.bench.loops` it is.
        changes: settings that differ from the row's.
        runs: how many networks one of its steps trains.
    """

    name: str
    row: str
    kind: str = "ours"
    device: str = "cpu"
    precision: str = "fp32"
    changes: tuple[str, ...] = ()
    runs: int = 1

    def settings(self) -> Settings:
        """As train.py would read them."""
        return loops.read(self.row, f"precision={self.precision}", *self.changes)

    @property
    def compiles(self) -> bool:
        """Whether its first step makes something that the later ones use: code, or a graph."""
        plain = self.kind == "conventional" or self.settings().engine == "eager"
        return self.kind == "compiled_model" or not plain

    def step(self) -> loops.Step:
        """Make everything that the loop needs; its step."""
        if self.kind == "together":
            return loops.together(self.settings(), self.runs)
        return loops.KINDS[self.kind](self.settings(), self.device)


@dataclass(frozen=True)
class Case:
    """The loops compared on one network, and how many steps of each are measured."""

    network: str
    loops: tuple[Loop, ...]
    rounds: int


def cpu_cases() -> list[Case]:
    """Comparisons for a CPU: many rounds of a small network, a few of deep ones."""

    def loop(name: str, row: str, *changes: str, kind: str = "ours") -> Loop:
        return Loop(name, row, kind, changes=("threads=1", *changes))

    def case(row: str, rounds: int, *others: Loop) -> Case:
        usual = loop("conventional", row, kind="conventional")
        eager = loop("eager", row, "engine=eager")
        return Case(row.rpartition("/")[2], (usual, eager, *others), rounds)

    compiled = loop("compiled", RESNET20, "engine=compiled")
    whole = loop("compiled_model", RESNET20, "engine=eager", kind="compiled_model")
    efficient = loop("efficient", DENSE100, "engine=eager", "model.efficient=true")
    depth = (
        loop("constant eager", CONSTANT, "engine=eager"),
        loop("skipping eager", STOCHASTIC, "engine=eager"),
    )
    return [
        case(RESNET20, 30, compiled, whole),
        case(RESNET110, 3),
        case(PREACT164, 2),
        case(DENSE40, 3),
        case(DENSE100, 3, efficient),
        Case("resnet110_stochastic", depth, 12),
    ]


def gpu_cases() -> list[Case]:
    """Comparisons for a GPU: every engine on every network, in both precisions where it counts."""

    def loop(name: str, row: str, engine: str, precision: str = "tf32", *changes: str) -> Loop:
        return Loop(name, row, "ours", "cuda", precision, (f"engine={engine}", *changes))

    def case(row: str, *others: Loop) -> Case:
        usual = Loop("conventional", row, "conventional", "cuda", "bf16")
        whole = Loop("compiled_model", row, "compiled_model", "cuda", "tf32", ("engine=eager",))
        engines = [
            loop(name, row, name, precision)
            for precision in ("tf32", "bf16")
            for name in ("eager", "captured", "fused")
        ]
        compiled = loop("compiled", row, "compiled")
        return Case(row.rpartition("/")[2], (usual, *engines, compiled, whole, *others), 200)

    batches = [loop("fused", RESNET20, "fused", "tf32", f"recipe.batch={b}") for b in (64, 256)]
    company = [
        Loop(f"{n} at once", RESNET20, "together", "cuda", "tf32", ("engine=fused",), n)
        for n in AT_ONCE
    ]
    efficient = loop("efficient", DENSE100, "eager", "tf32", "model.efficient=true")
    depth = [
        loop(f"{name} {engine}", row, engine)
        for engine, name in (("eager", "skipping"), ("captured", "gates"), ("fused", "gates"))
        for name, row in (("constant", CONSTANT), (name, STOCHASTIC))
    ]
    deeper = [
        Case(f"resnet{d}", (loop("fused", f"{TABLE6}/resnet{d}", "fused"),), steps)
        for d, steps in ((56, 200), (1202, 50))
    ]
    return [
        case(RESNET20, *batches, *company),
        case(RESNET110),
        case(PREACT164),
        case(DENSE40),
        case(DENSE100, efficient),
        Case("resnet110_stochastic", tuple(depth), 200),
        *deeper,
    ]


def bases(loop: Loop, others: tuple[Loop, ...]) -> dict[str, Loop]:
    """What a loop is compared with, by the column of the ratio.

    The conventional loop, whatever its precision; the eager engine in the loop's own; and, for
    stochastic depth, constant depth by the same engine, since that alone shows what closed blocks
    save.
    """
    name, _, engine = loop.name.partition(" ")
    found: dict[str, Loop] = {}
    for other in others:
        alike = other.precision == loop.precision
        same = sized(other) == sized(loop)
        if other.name == "conventional" and same:
            found["to_conventional"] = other
        if other.name == "eager" and alike and same:
            found["to_eager"] = other
        if name in ("constant", "skipping", "gates") and other.name == f"constant {engine}":
            found["to_constant_depth"] = other
    return found


def sized(loop: Loop) -> list[str]:
    """The settings of a loop that change how much work an image is."""
    return [change for change in loop.changes if change.startswith("recipe.batch")]
