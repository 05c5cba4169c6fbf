"""The report from claims, tables and figures that a test makes up: what it says, and how a browser shows it."""

import json
import re
import shutil
import subprocess

import pytest
from PIL import Image

from resnet import files
from resnet.rendering import report
from resnet.rendering.claims import COLUMNS
from resnet.rendering.comparisons import Verdict
from resnet.rendering.exhibits import Exhibit, write_exhibit
from resnet.rendering.scales import Page, beside, read_pages, write_page

WIDE = ["method", *(f"column {number}" for number in range(12))]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def claims(folder, **changes):
    """Write a claim for each verdict; return the file."""
    same = {"about": "cifar10", "section": "Section 4.2, Fig. 6 left, Table 6", "statement": "<b> & co"}
    same |= {"comparable": "no", "reason": "why", "evidence": "numbers", "closest": "a − b"}
    same |= {"difference": -1234.5, "margin": 0.1, "runs": 2, "samples": 10000, **changes}
    rows = [same | {"claim": f"c{place}", "verdict": verdict} for place, verdict in enumerate(Verdict)]
    files.write_rows(folder / "claims.csv", COLUMNS, rows)
    return folder / "claims.csv"


def page(folder, exhibits=(), scale="demo", **changes):
    left_out = {"imagenet": "no <data>", "Fig. 1": "none of plain-20 is run"}
    values = {"sections": ["cifar10"], "left_out": left_out, "runs": [], "detectors": []}
    shown = report.shown_page(scale, claims(folder), exhibits)
    return report.render(shown, claims=folder / "claims.csv", **values | changes)


@pytest.fixture(scope="module")
def exhibited(tmp_path_factory):
    """A figure and two tables, one of them wide."""
    folder = tmp_path_factory.mktemp("report")
    Image.new("RGB", (1200, 400), "white").save(folder / "fig6.png")
    figure = {"headings": ["model", "value", "here"], "rows": [["plain-20", "test error (%), end", "9.05"]], "texts": 2}
    for one in (
        Exhibit("fig6", "cifar10", True, "Fig. 6. Training", "Plain nets (left).", "", **figure, inches=10.2),
        Exhibit("table6", "cifar10", False, "Table 6. Errors", "Errors.", "A note.", WIDE, [["resnet-20"] * 13] * 3),
        Exhibit("counted", "cifar10", False, "Architectures", "Counted.", "", ["a"], [["b"]]),
    ):
        write_exhibit(folder / f"{one.name}.json", one)
    image = report.embedded(folder / "fig6.png")
    short = Page("short", {"c0": "not seen at this scale"}, [], {"fig6": image})
    return page(folder, [folder / f"{name}.json" for name in ("fig6", "table6", "counted")], others=[short])


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """Reports of claims alone."""
    folder = tmp_path_factory.mktemp("empty")
    return {scale: page(folder, scale=scale) for scale in ("demo", "paper")}


def test_there_is_a_colour_for_each_verdict_and_the_numbers_behind_it(empty):
    for verdict in Verdict:
        name = verdict.replace(" ", "-")
        assert f".{name} {{" in empty["demo"]
        assert f'<td class="left verdict {name}">{verdict}</td>' in empty["demo"]
        assert f'<dt class="verdict {name}">{verdict}</dt>' in empty["demo"]
    # All but the one that is not tested show the difference, its margin, and the runs and images behind it.
    assert empty["demo"].count("-1,234 ± 0.1") == len(Verdict) - 1
    assert empty["demo"].count(">2</td>") == empty["demo"].count(">10,000</td>") == len(Verdict)
    assert "&lt;b&gt; &amp; co" in empty["demo"]


def test_one_line_says_how_many_claims_hold(empty, tmp_path):
    line = re.search('<p class="summary">(.*)</p>', empty["demo"])[1]
    text = re.sub("<[^>]*>", "", line)
    assert text == "1 holds, 1 is open, 1 does not hold, 1 is not seen at this scale, 1 is not tested: 5 claims."
    rows = (
        tmp_path / "claims.csv",
        COLUMNS,
        [{"claim": "c", "verdict": "holds", "about": "cifar10", "section": ""}] * 2,
    )
    files.write_rows(*rows)
    nothing = {"runs": [], "detectors": [], "left_out": {}}
    two = report.render(Page("demo", {}, [], {}), sections=["cifar10"], claims=rows[0], **nothing)
    assert "2 hold</span>" in two
    assert "0 are open</span>" in two


def test_without_artefacts_it_is_a_page(empty):
    assert re.findall("<h2[^>]*>(.*)</h2>", empty["demo"]) == ["What reproduced", "CIFAR-10 (section 4.2)"]
    assert "None" not in empty["demo"]


def test_it_says_what_it_shows_and_what_is_left_out(empty):
    assert '<p class="soft">CIFAR-10 (section 4.2) of He' in empty["demo"]
    assert "Without ImageNet (section 4.1): no &lt;data&gt;." in empty["demo"]
    assert "Without Fig. 1: none of plain-20 is run." in empty["demo"]
    assert "COCO (section 4.3)" not in empty["demo"]


def test_at_paper_scale_it_says_that_runs_are_not_the_papers(empty):
    warning = "Some runs do not have the paper's recipe or data"
    assert warning in empty["paper"]
    assert warning not in empty["demo"]


def test_claims_lead_to_the_figures_and_tables_that_they_name(exhibited, empty):
    links = '<a href="#fig6">Fig. 6</a>, <a href="#table6">Table 6</a>: '
    assert exhibited.count(links) == len(Verdict)
    assert 'href="#fig6"' not in empty["demo"]
    both = report.evidence_in("Section 4.1, Tables 3 and 4, Fig. 4 right", ["table3", "table4", "fig4", "fig1"])
    assert both == {"table3": "Table 3", "table4": "Table 4", "fig4": "Fig. 4"}


def test_contents_list_every_section_and_artefact(exhibited):
    nav = re.search("<nav.*</nav>", exhibited, re.DOTALL)[0]
    expected = [("cifar10", "CIFAR-10 (section 4.2)"), ("fig6", "Fig. 6"), ("table6", "Table 6")]
    assert re.findall('<a href="#(.*?)">(.*?)</a>', nav) == [*expected, ("counted", "Architectures")]


def test_an_image_says_what_is_seen_in_it(exhibited):
    assert 'alt="Plain nets (left). plain-20 test error (%), end 9.05"' in exhibited


def scale(name, rows, headings=("method", "error (%)", "error (%), paper", "runs"), verdict="holds"):
    """Return what the report of a scale shows: a claim, Table 6 and Fig. 6."""
    table = Exhibit("table6", "cifar10", False, "Table 6. Errors", "Errors.", "", [*headings], rows)
    figure = Exhibit("fig6", "cifar10", True, "Fig. 6. Training", "Nets.", "", [], [], inches=10.2)
    return Page(name, {"c0": verdict}, [table, figure], {"fig6": f"data:image/png;base64,{name}"})


def test_two_scales_are_side_by_side(tmp_path):
    demo = scale("demo", [["ResNet (not trained)", "–", "8.75", ""], ["plain", "20.00", "9.60", "1"]])
    short = scale("short", [["ResNet", "14.74", "8.75", "1"], ["plain", "16.34", "9.60", "1"]], verdict="open")
    text = page(tmp_path, others=[short], sections=["cifar10"])
    assert text.count('<span class="soft">short:</span> <span class="verdict open">open</span>') == 1
    assert "shown beside it: short scale" in text
    merged = beside(demo.exhibit("table6"), [short])
    assert merged.headings == [
        "method",
        "error (%)",
        "error (%), paper",
        "runs",
        "error (%), short scale",
        "runs, short scale",
    ]
    assert merged.rows[0] == ["ResNet (not trained)", "–", "8.75", "", "14.74", "1"]
    # The other way round there is nothing to show of what was not trained, but of the other net.
    assert beside(short.exhibit("table6"), [demo]).rows[1][-2:] == ["20.00", "1"]


def test_tables_of_other_rows_and_unknown_ones_stay_as_they_are():
    demo = scale("demo", [["ResNet", "20.00", "8.75", "1"]])
    for other in (scale("short", []), scale("short", [["DSN", "8.22", "8.22", ""]]), Page("short", {}, [], {})):
        assert beside(demo.exhibit("table6"), [other]) == demo.exhibit("table6")


def test_published_columns_of_one_heading_are_not_repeated():
    """A table of two errors has a column "paper" for each."""

    def table3(*cells):
        headings = ["method", "top-1", "paper", "top-5", "paper", "runs"]
        return Exhibit("table3", "imagenet", False, "Table 3", "", "", headings, [["ResNet-50", *cells]])

    ours, other = table3("40.00", "22.85", "20.00", "6.71", "1"), table3("30.00", "22.85", "10.00", "6.71", "1")
    both = beside(ours, [Page("short", {}, [other], {})])
    assert both.headings[len(ours.headings) :] == ["top-1, short scale", "top-5, short scale"]
    assert both.rows[0][len(ours.headings) :] == ["30.00", "10.00"]


def test_reports_of_sections_are_put_together(tmp_path):
    whole = scale("short", [["ResNet", "14.74", "8.75", "1"]])
    section = Page("short", {"c1": "holds"}, [whole.exhibit("table6")], {})
    paths = [tmp_path / "report.json", tmp_path / "report-cifar10.json", tmp_path / "paper.json"]
    for path, one in zip(paths, (whole, section, scale("paper", [])), strict=True):
        write_page(path, one)
    short, paper = read_pages(paths)
    assert (short.scale, paper.scale) == ("short", "paper")
    assert short.verdicts == {"c0": "holds", "c1": "holds"}
    assert [one.name for one in short.exhibits] == ["table6", "fig6"]
    assert short.images == whole.images


@pytest.mark.parametrize(("seconds", "text"), [(59.6, "60 s"), (150, "2.5 min"), (7200, "2.0 h"), (5e6, "1,388.9 h")])
def test_times_have_the_unit_that_suits_them(seconds, text):
    assert report.duration(seconds) == text


# What is wrong with a page, computed in it.
CHECKS = """
function luminance(colour) {
  const parts = colour.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255).map(
    v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
}
function background(node, view) {
  for (; node; node = node.parentElement) {
    const colour = view.getComputedStyle(node).backgroundColor;
    if (!/, 0\\)$/.test(colour)) return colour;
  }
  return 'rgb(255, 255, 255)';
}
function faults(frame) {
  const page = frame.contentDocument, view = frame.contentWindow, found = [];
  const width = page.documentElement.scrollWidth;
  if (width > frame.clientWidth) found.push(`scrolls: ${width} of ${frame.clientWidth} px`);
  for (const link of page.querySelectorAll('a[href^="#"]'))
    if (!page.getElementById(link.getAttribute('href').slice(1))) found.push(`no target: ${link.outerHTML}`);
  for (const image of page.images)
    if (!image.naturalWidth || !image.alt) found.push('an image without content or alt');
  for (const node of page.querySelectorAll('body *')) {
    if (![...node.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const pair = [view.getComputedStyle(node).color, background(node, view)].map(luminance).sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < 4.5) found.push(`contrast ${ratio.toFixed(1)}: ${node.outerHTML.slice(0, 80)}`);
  }
  return found;
}
"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium to look with")
def test_a_browser_shows_it_on_a_phone_and_a_desk_light_and_dark(exhibited, tmp_path):
    dark = exhibited.replace("@media (prefers-color-scheme: dark)", "@media all")
    assert dark != exhibited
    pages = {
        f"{name} {width}": (text, width)
        for name, text in (("light", exhibited), ("dark", dark))
        for width in (390, 1280)
    }
    frames = "".join(
        f'<iframe id="{name}" width="{width}" height="800"></iframe>' for name, (_, width) in pages.items()
    )
    data = json.dumps({name: text for name, (text, _) in pages.items()}).replace("</", "<\\/")
    script = f"""{CHECKS}
    const pages = {data}, results = {{}};
    for (const [name, text] of Object.entries(pages)) {{
      const frame = document.getElementById(name);
      frame.onload = () => {{
        results[name] = faults(frame);
        if (Object.keys(results).length === Object.keys(pages).length)
          document.body.innerHTML = '<pre></pre>', document.querySelector('pre').textContent = JSON.stringify(results);
      }};
      frame.srcdoc = text;
    }}"""
    path = tmp_path / "frames.html"
    path.write_text(f'<!DOCTYPE html><meta charset="utf-8"><body>{frames}<script>{script}</script>')
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        "--window-size=1400,900",
    ]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=20000", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    found = re.search("<pre>(.*)</pre>", done.stdout, re.DOTALL)
    assert found, done.stdout[-2000:]
    assert json.loads(found[1]) == {name: [] for name in pages}
    assert "CONSOLE" not in done.stderr
