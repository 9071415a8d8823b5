"""What is compared: for each network, the loops worth measuring side by side."""

from dataclasses import dataclass

from data.arrays.imageset import random_images
from training.bench import loops
from training.settings.config import composed
from training.settings.network import build_model
from training.settings.settings import Settings

DEPTH = "huang2016_stochastic/table1/resnet110"
# By name of the network: its row, and how many turns each loop has on a CPU.
NETWORKS = {
    "resnet20": ("he2015_residual/table6/resnet20", 30),
    "resnet110": ("he2015_residual/table6/resnet110", 3),
    "full_preact_164": ("he2016_identity/table2/full_preact_164", 3),
    "densenet_40_12": ("huang2017_dense/table2/densenet_40_12", 3),
    "densenet_bc_100_12": ("huang2017_dense/table2/densenet_bc_100_12", 3),
    "resnet110_stochastic": (f"{DEPTH}_stochastic", 12),
}


@dataclass(frozen=True)
class Loop:
    """One way to train a row's network: an engine, `conventional` or `compiled_model`."""

    name: str
    row: str
    kind: str
    device: str
    precision: str
    changes: tuple[str, ...] = ()  # settings that differ from the row's

    def settings(self) -> Settings:
        """The loop's settings, as train.py would read them."""
        engine = "eager" if self.kind in ("conventional", "compiled_model") else self.kind
        named = [f"experiment={self.row}", f"engine={engine}", f"precision={self.precision}"]
        return composed(*named, *self.changes)

    def step(self) -> loops.Step:
        """Set up everything the loop needs and return its step."""
        settings, images = self.settings(), random_images(loops.IMAGES)
        if self.kind == "conventional":
            return loops.conventional(build_model(settings), settings, images, self.device)
        return loops.ours(settings, images, self.device, whole=self.kind == "compiled_model")


def loops_on(network: str, device: str) -> list[Loop]:
    """The loops measured on a network; the others are compared with the first."""
    row, gpu = NETWORKS[network][0], device == "cuda"
    engines = ("eager", "captured", "fused") if gpu else ("eager",)
    precisions = ("tf32", "bf16") if gpu else ("fp32",)
    changes = () if gpu else ("threads=1",)
    if network == "resnet110_stochastic":  # how much do skipped blocks save?
        return [
            Loop(f"{depth} {kind}", f"{DEPTH}_{depth}", kind, device, precisions[0], changes)
            for kind in engines
            for depth in ("constant", "stochastic")
        ]
    # The conventional loop has autocast on a GPU. On a CPU, compiling deep networks takes too long.
    kinds = [("conventional", precisions[-1])]
    kinds += [(kind, precision) for precision in precisions for kind in engines]
    if gpu or network == "resnet20":
        kinds.append(("compiled_model", precisions[0]))
    return [Loop(kind, row, kind, device, precision, changes) for kind, precision in kinds]
