"""The report as HTML: one file with its style, its script and its pictures."""

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from experiments.report import runs


def render(content: dict[str, Any]) -> str:
    """The page; the same content gives the same bytes."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Without `<` nothing in it can end the script element.
    data = json.dumps(content["data"], separators=(",", ":"), allow_nan=False)
    template = environment.get_template("page.html.j2")
    page = template.render(page=content, runs=runs, data=data.replace("<", "\\u003c"))
    return page.strip() + "\n"
