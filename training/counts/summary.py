"""A network layer by layer: output size, parameters, multiply-adds.

python -m training.counts.summary experiment=he2015_residual/table6/resnet20 [any override]
"""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from torch import nn

from records.command import argument_parser
from training.runs import entry
from training.settings.config import composed
from training.settings.network import outline, trace
from training.settings.settings import Settings

NOTHING = (nn.Identity, nn.Sequential)  # placeholders for layers that a variant leaves out
WIDE, NARROW = 200, 80  # columns where the output is no terminal; what the table fits into
Line = tuple[str, str, str, int, int]


def layers(settings: Settings) -> list[Line]:
    """Path, kind, output (C x H x W), parameters and multiply-adds per image of every layer that
    does not consist of others."""
    network = outline(settings.model)
    macs, shapes = trace(network, settings.data.size)
    parts = {path: part for path, part in network.named_modules() if not list(part.children())}
    return [
        (path, type(part).__name__, "x".join(map(str, shapes[path][1:])),
         sum(p.numel() for p in part.parameters()), macs.get(path, 0))
        for path, part in parts.items() if path in shapes and not isinstance(part, NOTHING)
    ]  # fmt: skip


def main() -> None:
    """Print the layers of the network named on the command line, in a table that fits a
    terminal of at least `NARROW` columns."""
    parser = argument_parser((__doc__ or "").split("\n")[0])
    parser.add_argument("override", nargs="*", help="as for train.py, such as model.depth=20")
    counted = layers(composed(*parser.parse_args().override))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_footer=True,
                  show_edge=False)  # fmt: skip
    for name in ("Layer", "Kind", "Output"):
        table.add_column(name, overflow="fold", no_wrap=name != "Layer")
    for name, place in (("Parameters", 3), ("Multiply-adds", 4)):
        total = sum(int(line[place]) for line in counted)
        table.add_column(name, footer=f"{total:,}", justify="right", no_wrap=True)
    for *words, params, macs in counted:
        table.add_row(
            *map(str, words), f"{params:,}" if params else "", f"{macs:,}" if macs else ""
        )
    console = Console()
    if not console.is_terminal or console.width < NARROW:
        console.width = WIDE
    console.print(table)


if __name__ == "__main__":
    entry.start(main)
