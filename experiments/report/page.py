"""The report as HTML: one file with its style, its script and its pictures."""

import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from experiments.report.content import Content

FOLDER = Path(__file__).parent


def render(content: Content) -> str:
    """The page; the same content gives the same bytes."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Without `<` nothing in it can end the script element.
    data = json.dumps(content.data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    parts = {"style": asset("style.css"), "script": asset("page.js"), "data": Markup(data)}  # noqa: S704
    page = environment.get_template("page.html.j2").render(page=content, **parts)
    return page.strip() + "\n"


def asset(name: str) -> Markup:
    """A file of ours that goes into the page as it is."""
    return Markup((FOLDER / name).read_text(encoding="utf-8"))  # noqa: S704
