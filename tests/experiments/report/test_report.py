"""The report: what it says, from made records; and how a browser shows it."""

import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from experiments import compile
from experiments.plan.plan import table_jobs
from experiments.report import __main__ as report
from experiments.report import page as report_page
from experiments.tables.tables import paper_table
from experiments.verdicts.loading import load
from records.files import ROOT
from tests.sealed import seal

GOLDEN = ROOT / "tests" / "golden" / "runs"
TABLE6 = "he2015_residual/table6"
RESNET32 = f"{TABLE6}/resnet32/cifar10_aug/seed0"
FIGURES = ("he2015_residual/fig6", "he2015_residual/fig7", "huang2017_dense/fig3_cifar")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--allow-file-access-from-files",
)  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A results folder with the made records, one of them damaged, and its report."""
    folder = tmp_path_factory.mktemp("report") / "results"
    shutil.copytree(GOLDEN, folder / "runs")
    for path in folder.rglob("resnet110/**/summary.json"):
        seal(path.parent, device="a GPU", driver="1.0", seconds=600.0, runs_at_once=2)
    add_long_name(folder)
    # One with all the files that a record can have.
    (folder / "runs" / TABLE6 / "resnet20" / "cifar10_aug" / "seed0" / "NOTE.md").touch()
    weights = folder / "weights" / TABLE6 / "resnet20" / "cifar10_aug" / "seed0.safetensors"
    weights.parent.mkdir(parents=True)
    weights.touch()
    broken = folder / "runs" / TABLE6 / "resnet20" / "cifar10_aug" / "seed9"
    shutil.copytree(broken.with_name("seed0"), broken)
    (broken / "summary.json").write_text("{")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESULTS_DIR", str(folder))
        patch.setattr(report_page, "FIGURES", FIGURES)  # all of them take ten seconds
        assert report.main() == 0
        yield folder


def add_long_name(folder: Path) -> None:
    """A record of the row with the longest name."""
    run = "huang2016_stochastic/table1/resnet110_stochastic/cifar100_aug/seed0"
    shutil.copytree(GOLDEN / RESNET32, folder / "runs" / run)
    row, dataset = run.rsplit("/", 2)[:2]
    seal(folder / "runs" / run, run=run, experiment=row, dataset=dataset)


@pytest.fixture(scope="module")
def page(results: Path) -> str:
    return (results / "report" / "index.html").read_text(encoding="utf-8")


class Outline(HTMLParser):
    """The addresses a page refers to, those it defines, and the cells of its tables."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.sources: list[str] = []
        self.names: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attributes}
        self.links += [known["href"]] if "href" in known else []
        self.sources += [known["src"]] if "src" in known else []
        self.names += [known["id"]] if "id" in known else []


def test_it_is_one_file_whose_links_resolve(results: Path, page: str) -> None:
    outline = Outline(page)
    assert len(outline.names) == len(set(outline.names)), "an address stands for one place"
    assert outline.sources and all(s.startswith("data:") for s in outline.sources)
    outward = [link for link in outline.links if link.startswith("http")]
    assert outward and all(link.startswith("https://arxiv.org/") for link in outward)
    inward = [link[1:] for link in outline.links if link.startswith("#")]
    assert set(inward) <= set(outline.names)
    files = [link for link in outline.links if not link.startswith(("#", "http", "data:"))]
    assert len(files) > 50
    # Those of figures that were left out for speed are not there.
    missing = [link for link in files if not (results / "report" / unquote(link)).exists()]
    assert not missing


def test_every_number_of_a_table_leads_to_its_runs(page: str) -> None:
    body = page[page.index(f'id="{TABLE6.replace("/", "-")}"') :]
    (line,) = re.findall(r"<tr>(?:(?!</tr>).)*>110<.*?</tr>", body[: body.index("</table>")])
    anchor = "runs-he2015_residual-table6-resnet110-cifar10_aug"
    assert f'<a href="#{anchor}">6.40 (6.60 ± 0.16)</a>' in line
    group = page[page.index(f'id="{anchor}"') :]
    group = group[: group.index("</section>")]
    assert re.findall(r"seed (\d): <b>([\d.]+) %", group) == [
        ("0", "6.50"), ("1", "6.60"), ("2", "6.70"), ("3", "6.40"), ("4", "6.80"),
    ]  # fmt: skip
    assert "python train.py experiment=he2015_residual/table6/resnet110 data=cifar10_aug" in group
    assert f"../runs/{TABLE6}/resnet110/cifar10_aug/seed0/summary.json" in group


def test_commands_are_such_as_the_planner_takes(page: str) -> None:
    commands = re.findall(r"make reproduce-table TABLE=(\S+) ROWS=(\S+) PRESET=paper YES=1", page)
    assert len(commands) > 80
    for table, row in set(commands):
        jobs = table_jobs(table, preset="paper", rows=row)
        assert {job.experiment.rpartition("/")[2] for job in jobs} == {row}


def test_damaged_records_and_runs_in_no_table_are_listed(page: str) -> None:
    assert "seed9/summary.json is missing, damaged" in page[page.index('id="left-out"') :]
    group = page[page.index('id="run-he2015_residual-table6-resnet20_with_precision_is_bf16') :]
    assert "its row was changed by overrides" in group[:1000]


def test_cost_and_counts(page: str) -> None:
    # Five runs of ten minutes, two at once.
    costs = page[page.index('<h2 id="cost">') :]
    (line,) = re.findall(r"<tr>(<td[^>]*>a GPU</td>.*?)</tr>", costs)
    assert re.findall(r">([^<]+)</td>", line) == ["a GPU", "5", "50.0", "25.0"]
    assert re.search(r"<b>25</b><span>GPU minutes", page)
    # Six of Table 6; those of Fig. 6 are read off it.
    assert "6 rows are compared with a published number" in page


def test_a_recipe_is_shown_once_and_linked_where_other_papers_use_it(page: str) -> None:
    for recipe in ("fair", "he2015", "he2016", "huang2016", "huang2017"):
        assert page.count(f'id="recipe-{recipe}"') == 1
    dense = page[page.index('<h2 id="huang2017_dense">') :]
    assert 'href="#recipe-huang2016"' in dense and 'href="#recipe-huang2017"' in dense


def test_the_same_records_give_the_same_bytes(results: Path, page: str) -> None:
    before = {p: p.read_bytes() for p in results.rglob("*") if p.is_file()}
    assert {p.suffix for p in before} > {".html", ".md", ".csv", ".tex", ".png", ".svg"}
    assert report.main() == 0
    assert {p: p.read_bytes() for p in results.rglob("*") if p.is_file()} == before


def test_a_page_without_records_can_be_made(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("RESULTS_DIR", str(tmp_path))
    monkeypatch.setattr(report_page, "FIGURES", ())
    assert report.main() == 0
    text = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "No run has ended yet" in text and "make reproduce-table PRESET=paper" in text
    assert "<figure>" not in text and 'class="tile"' not in text
    assert text.count('class="card absent"') > 20


def test_what_has_run_stands_first_and_the_rest_is_a_line_each(page: str) -> None:
    cards = re.findall(r'<(\w+) class="card( absent)?" id="(he2015_residual-\w+)"', page)
    names = [name for _, _, name in cards]
    assert names[0] == "he2015_residual-table6" and len(names) == len(set(names)) > 6
    ran = [not absent for _, absent, _ in cards]
    assert ran == sorted(ran, reverse=True) and ran.count(True) >= 2
    assert all(tag == ("details" if absent else "section") for tag, absent, _ in cards)


def test_published_errors_and_ours_are_drawn(page: str, results: Path) -> None:
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    (axes,) = data["figures"]["figure-against_paper"]
    named = {line["name"]: (line["x"], line["y"]) for line in axes["lines"]}
    assert named["ResNet, 110"] == ([6.61], [6.6])
    (alt,) = re.findall(r'alt="(Published test errors[^"]*)"', page)
    assert "ResNet, 110 6.6" in alt
    dots = {(x, y) for line in axes["lines"] for x, y in zip(line["x"], line["y"], strict=True)}
    # Table 6 of the golden records: ResNet-110 is 6.61 % on average in the paper, ours 6.60.
    assert (6.61, 6.6) in dots and all(0 < x < 20 for x, _ in dots)
    assert (results / "figures" / "against_paper.png").exists()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a screen."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium and chromedriver (Debian: chromium, chromium-driver)")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(driver))
    yield opened
    opened.quit()


@pytest.fixture
def shown(browser: Any, results: Path) -> Any:
    """The report in the browser, afresh, on a desk."""
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    size(browser, 1280, 900)
    browser.get("about:blank")
    browser.get((results / "report" / "index.html").as_uri())
    return browser


def size(browser: Any, width: int, height: int) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def test_no_error_and_every_picture_loads(shown: Any) -> None:
    pictures = shown.execute_async_script(
        "const done = arguments[0], all = [...document.images];"
        "document.querySelectorAll('details').forEach((part) => { part.open = true; });"
        "Promise.all(all.map((i) => i.decode())).then("
        "  () => done(all.map((i) => i.naturalWidth)), (error) => done(String(error)));"
    )
    # Published errors against ours, Fig. 6 and Fig. 3; of Fig. 7 nothing has been measured.
    assert len(pictures) == 3 and all(width > 100 for width in pictures)
    assert shown.get_log("browser") == []


def test_only_what_has_run_hides_whole_cards(shown: Any) -> None:
    def cards() -> dict[str, bool]:
        return shown.execute_script(
            "return Object.fromEntries([...document.querySelectorAll('.card[id]')]"
            "  .map((card) => [card.id, card.offsetHeight > 0]));"
        )

    assert all(cards().values())
    shown.execute_script("document.getElementById('only').click()")
    seen = cards()
    assert seen["he2015_residual-table6"] and seen["overview"]
    assert not seen["huang2017_dense-table3"] and not seen["figure-he2015_residual-fig7"]
    rows = shown.execute_script(
        "return [...document.querySelectorAll('.claims tbody tr')]"
        "  .filter((row) => row.offsetHeight > 0).map((row) => row.cells[2].innerText.trim());"
    )
    assert rows and "-" not in rows
    empty = shown.execute_script(
        "return [...document.querySelectorAll('.card[id]:not(details) tbody tr')]"
        "  .filter((row) => row.offsetHeight > 0 && row.innerText.includes('not run')).length"
        "  + [...document.querySelectorAll('h2')].filter((head) => head.offsetHeight > 0"
        "    && head.parentElement.matches('.part')"
        "    && ![...head.parentElement.querySelectorAll('.card')].some((c) => c.offsetHeight)"
        "  ).length;"
    )
    assert empty == 0, "neither rows that have not run nor papers of which nothing has"


def test_a_click_on_a_head_sorts(shown: Any) -> None:
    def column(name: str) -> list[str]:
        return shown.execute_script(
            "const t = document.getElementById('he2015_residual-table6').querySelector('table');"
            "const heads = [...t.tHead.rows[0].cells];"
            "const head = heads.find((cell) => cell.innerText.startsWith(arguments[0]));"
            "head.querySelector('button').click();"
            "return [...t.tBodies[0].rows].map((r) => r.cells[head.cellIndex].innerText.trim());",
            name,
        )

    up, down = column("Paper"), column("Paper")
    values = [float(text.split()[0]) for text in up]
    assert values == sorted(values) and len(values) == 12
    assert [float(text.split()[0]) for text in down] == sorted(values, reverse=True)
    for first in ("19", "1202"):
        layers = column("Layers")
        assert layers[-3:] == ["-"] * 3 and layers[0] == first, "what is missing stands last"


def test_times_are_sorted_by_their_length(shown: Any) -> None:
    hours = {"min": 1 / 60, "h": 1, "days": 24}
    times = shown.execute_script(
        "const t = document.getElementById('waiting').querySelector('table');"
        "const head = [...t.tHead.rows[0].cells].find((c) => c.textContent.startsWith('H100'));"
        "document.getElementById('waiting').open = true;"
        "head.querySelector('button').click();"
        "return [...t.tBodies[0].rows].map((r) => r.cells[head.cellIndex].textContent.trim());"
    )
    lengths = [float(time.split()[0]) * hours[time.split()[1]] for time in times if time]
    assert lengths == sorted(lengths) and {"h", "days"} <= {t.split()[1] for t in times if t}


def test_the_values_stay_on_the_screen(shown: Any) -> None:
    size(shown, 1280, 400)
    bottom = shown.execute_script(
        "const part = document.querySelector('[data-figure=\"figure-he2015_residual-fig6\"]');"
        "const axes = DATA.figures[part.dataset.figure][1];"
        "part.scrollIntoView({block: 'end'});"
        "const frame = part.getBoundingClientRect();"
        "const [left, bottom, width] = axes.box;"
        "part.dispatchEvent(new PointerEvent('pointermove', {"
        "  clientX: frame.left + (left + width / 2) * frame.width,"
        "  clientY: frame.top + (1 - bottom - 0.02) * frame.height, bubbles: true}));"
        "return document.getElementById('tip').getBoundingClientRect().bottom;"
    )
    assert 0 < bottom <= 400


def test_the_pointer_shows_the_values_of_curves(shown: Any, results: Path) -> None:
    tip = shown.execute_script(
        "const part = document.querySelector('[data-figure=\"figure-he2015_residual-fig6\"]');"
        "part.scrollIntoView();"
        "const axes = DATA.figures[part.dataset.figure][1];"
        "const frame = part.getBoundingClientRect();"
        "const [left, bottom, width, height] = axes.box;"
        "const [low, high] = axes.limits;"
        "const x = left + width * (arguments[0] - low) / (high - low);"
        "part.dispatchEvent(new PointerEvent('pointermove', {"
        "  clientX: frame.left + x * frame.width,"
        "  clientY: frame.top + (1 - bottom - height / 2) * frame.height, bubbles: true}));"
        "const tip = document.getElementById('tip');"
        "return tip.hidden ? null : tip.innerText;",
        34_000,
    )
    metrics = load(results / "runs" / RESNET32).metrics().set_index("iteration").loc[34_000]
    assert tip.splitlines()[0] == "iterations: 34,000", tip
    assert f"ResNet-32: {metrics['test_error']:.2f}" in tip.splitlines()
    assert f"ResNet-32, training: {metrics['train_error']:.2f}" in tip.splitlines()


def test_points_at_different_places_say_where_they_are(shown: Any) -> None:
    """Published: DenseNet-BC 190-40 of 25.6M parameters at 3.46 %, DenseNet 100-24 at 3.74 %."""
    tip = shown.execute_script(
        "const name = 'figure-huang2017_dense-fig3_cifar';"
        "document.getElementById(name).open = true;"
        "const part = document.querySelector(`[data-figure='${name}']`);"
        "part.scrollIntoView();"
        "const axes = DATA.figures[name][0];"
        "const frame = part.getBoundingClientRect();"
        "const [left, bottom, width, height] = axes.box;"
        "const [low, high] = axes.limits;"
        "const x = left + width * Math.log(26 / low) / Math.log(high / low);"
        "part.dispatchEvent(new PointerEvent('pointermove', {"
        "  clientX: frame.left + x * frame.width,"
        "  clientY: frame.top + (1 - bottom - height / 2) * frame.height, bubbles: true}));"
        "return document.getElementById('tip').innerText;"
    )
    assert "DenseNet-BC, published at 25.624: 3.46" in tip.splitlines()
    assert "DenseNet, published at 27.249: 3.74" in tip.splitlines()
    assert "ResNet" not in tip, "which end at 1.7M"


def test_a_number_opens_its_run_and_draws_its_curve(shown: Any) -> None:
    link = "a[href='#runs-he2015_residual-table6-resnet32-cifar10_aug']"
    shown.execute_script("document.querySelector(arguments[0]).click()", link)
    anchor = f"run-{RESNET32.replace('/', '-')}"
    drawn = shown.execute_async_script(
        "const done = arguments[1], run = document.getElementById(arguments[0]);"
        "const look = () => run.querySelector('polyline')"
        "  ? done([run.open, run.querySelectorAll('polyline').length,"
        "          run.querySelector('polyline').getAttribute('points').split(' ').length])"
        "  : setTimeout(look, 20);"
        "look();",
        anchor,
    )
    assert drawn == [True, 2, 5]


@pytest.mark.parametrize("width", [360, 800, 1600])
def test_the_page_is_never_wider_than_the_screen(width: int, shown: Any) -> None:
    size(shown, width, 800)
    shown.execute_script(
        "document.querySelectorAll('details').forEach((part) => { part.open = true; });"
    )
    wide, screen = shown.execute_script(
        "return [document.documentElement.scrollWidth, window.innerWidth]"
    )
    assert wide <= screen == width


def test_light_and_dark(shown: Any) -> None:
    def contrast(scheme: str) -> tuple[float, float]:
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        shown.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        colours = shown.execute_script(
            "const style = getComputedStyle(document.querySelector('.card'));"
            "return [style.backgroundColor, style.color];"
        )
        return tuple(sum(map(int, re.findall(r"\d+", c)[:3])) / 765 for c in colours)  # type: ignore[return-value]

    (ground, text), (dark_ground, dark_text) = contrast("light"), contrast("dark")
    assert ground > 0.9 and text < 0.3
    assert dark_ground < 0.3 and dark_text > 0.8


def test_the_golden_table_is_on_the_page(page: str) -> None:
    frame = paper_table(TABLE6, compile.records_of("paper")).frame
    body = page[page.index(f'id="{TABLE6.replace("/", "-")}"') :]
    body = body[: body.index("</tbody>")]
    cells = [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", body)]
    *others, verdict = frame.columns  # which stands third here
    frame = frame[[*others[:2], verdict, *others[2:]]]
    assert cells == [str(cell).replace("&", "&amp;") for cell in frame.to_numpy().ravel()]
