"""The report in a real browser: what a reader can do with it, and what hostile text cannot."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_kit import WritingJudge, corpus, large, plain, rerank

from reasonrank_pyserini.cli import main
from reasonrank_pyserini.ranking.oracle_judge import OracleJudge

playwright = pytest.importorskip("playwright.sync_api")

WAIT = 300_000
"""Milliseconds that the browser may take for anything, however slow the machine is."""
playwright.expect.set_options(timeout=WAIT)
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip
HOSTILE = (
    "</script><img src=x onerror=\"document.title='ran'\"><b>bold</b> \u202eevil\u2069 nul\0 \ud800 <!--"
)
LONG = "x" * 1_000_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not Path(CHROMIUM).is_file():
        pytest.skip("no chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS), timeout=WAIT)
        yield browser
        browser.close()


def make(output: Path, *arguments: Path | str) -> Path:
    with pytest.raises(SystemExit) as end:
        main(["report", *map(str, arguments), "-o", str(output)])
    assert end.value.code == 0
    return output


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 queries of 12 candidates: the last is relevant, the judge finds it; query 7 reverses, its order is hurt."""
    folder = tmp_path_factory.mktemp("page")
    queries = {f"q{n}": f"question number {n} about {'moths' if n % 2 else 'glass'}" for n in range(60)}
    run = {id: [f"{id}-d{rank}" for rank in range(12)] for id in queries}
    texts = {doc: f"passage {doc} says something" for docs in run.values() for doc in docs}
    qrels = {id: {docs[11]: 2} for id, docs in run.items()}
    qrels["q7"] = {"q7-d0": 1}

    def writer(query: Any, documents: Any, order: Any) -> str:
        if query.id == "q7":
            return plain(query, documents, sorted(order, key=lambda index: documents[index].id == "q7-d0"))
        return plain(query, documents, order)

    judge = WritingJudge(OracleJudge(qrels), writer, frozenset({("q3", 0)}))
    rerank(folder / "out", run, queries=queries, texts=texts, judge=judge, window=(8, 4))
    corpus(folder / "corpus.jsonl", texts)
    (folder / "topics.tsv").write_text("".join(f"{id}\t{text}\n" for id, text in queries.items()))
    (folder / "qrels").write_text(
        "".join(f"{q} 0 {d} {g}\n" for q, ds in qrels.items() for d, g in ds.items())
    )
    more = (
        "--qrels",
        folder / "qrels",
        "--corpus",
        folder / "corpus.jsonl",
        "--topics",
        folder / "topics.tsv",
    )
    return make(folder / "page.html", folder / "out", *more)


class View:
    """A page opened in the browser; leaving it checks that nothing failed and nothing else was asked for."""

    def __init__(self, browser: Any, path: Path, fragment: str = "", first: str = "", **options: Any) -> None:
        """`first` is a script that runs before those of the page."""
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(WAIT)
        self.page = self.context.new_page()
        self.page.add_init_script(first)
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.url = path.resolve().as_uri()
        self.page.goto(self.url + fragment, wait_until="load")

    def __enter__(self) -> Any:
        return self.page

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.context.close()
        if kind is None:
            assert self.problems == []
            assert [request.partition("#")[0] for request in self.requests] == [self.url]


def count(page: Any, text: str) -> None:
    playwright.expect(page.locator("#count")).to_have_text(text)


def test_search_filter_sort_and_pages(browser: Any, page_file: Path) -> None:
    with View(browser, page_file) as page:
        count(page, "60 queries")
        rows = page.locator("#list tbody tr")
        assert rows.count() == 50
        page.get_by_role("button", name="Next").click()
        playwright.expect(rows).to_have_count(10)
        page.get_by_label("Search").fill("MOTHS number")
        count(page, "30 of 60 queries")
        page.get_by_label("Search").fill("q12-d11")
        count(page, "1 of 60 queries")
        playwright.expect(rows.first).to_contain_text("question number 12")
        page.get_by_label("Search").fill("nothing like it")
        count(page, "0 of 60 queries")
        page.get_by_label("Search").fill("")
        page.get_by_label("Show").select_option("hurt")
        count(page, "1 of 60 queries")
        page.get_by_label("Show").select_option("failed")
        count(page, "1 of 60 queries")
        playwright.expect(rows.first).to_contain_text("1 FAILED")
        page.get_by_label("Show").select_option("all")
        page.locator("#list").get_by_role("button", name="Change").click()
        assert page.locator("#list th[aria-sort=descending]").inner_text().startswith("Change")
        page.get_by_label("Sort by").select_option("loss")
        playwright.expect(rows.first).to_contain_text("question number 7")


def test_open_a_query_and_a_window_by_keyboard(browser: Any, page_file: Path) -> None:
    with View(browser, page_file) as page:
        opener = page.get_by_role("button", name=re.compile("^q5 "))
        opener.focus()
        page.keyboard.press("Enter")
        detail = page.locator(".opened")
        playwright.expect(detail.locator(".ranked tbody tr")).to_have_count(12)
        assert opener.get_attribute("aria-expanded") == "true"
        first = detail.locator(".ranked tbody tr").first
        assert first.inner_text().split()[:6] == ["1", "12", "▲", "up", "11", "relevant"]
        playwright.expect(first).to_contain_text("passage q5-d11 says something")
        detail.get_by_role("button", name="In first-stage order").click()
        playwright.expect(first).to_contain_text("q5-d0")
        window = detail.locator("details.window").first
        window.locator("summary").first.focus()
        page.keyboard.press("Enter")
        playwright.expect(window.get_by_text("fits because it speaks of q5-d11")).to_be_visible()
        assert window.locator(".id.relevant").first.get_attribute("title").startswith("q5-d11\npassage")
        assert window.locator(".order tbody tr").first.inner_text().split()[:2] == ["1", "[8]"]
        opener.click()
        playwright.expect(page.locator(".opened")).to_have_count(0)


def test_find_in_reasoning_opens_the_windows_that_hold_it(browser: Any, page_file: Path) -> None:
    with View(browser, page_file, "#query=5") as page:
        page.get_by_label("Find in reasoning").fill("SPEAKS of q5-d1.")
        playwright.expect(page.locator(".opened mark").first).to_have_text("speaks of q5-d1.")
        opened = page.locator("details.window[open]").count()
        assert opened == page.locator("details.window:has(mark)").count() == 1
        page.get_by_label("Find in reasoning").fill("")
        playwright.expect(page.locator(".opened mark")).to_have_count(0)


def test_gains_and_losses_as_picture_and_table(browser: Any, page_file: Path) -> None:
    with View(browser, page_file) as page:
        chart = page.get_by_role(
            "img", name=re.compile("60 queries sorted by the change of nDCG@10: .* 1 lose")
        )
        assert chart.count() == 1
        page.get_by_text("The largest gains and losses as a table").click()
        losses = page.get_by_role("region", name="Largest losses")
        losses.get_by_role("button").click()
        playwright.expect(page.locator(".opened h3")).to_have_text("Query q7")
        chart.hover(position={"x": 3, "y": 30})
        playwright.expect(page.locator(".readout")).to_contain_text("question number")


def test_hostile_text_is_text(browser: Any, tmp_path: Path) -> None:
    texts = {"d1": HOSTILE.replace("\0", "").replace("\ud800", ""), "d2": LONG, "<i>d3</i>": "third"}
    run = {"<u>q</u>": list(texts)}
    judge = WritingJudge(OracleJudge({}), lambda q, d, o: f"<think>{HOSTILE}{LONG}</think>{HOSTILE}")
    rerank(tmp_path / "out", run, queries={}, texts=texts, judge=judge, manifest={"model": HOSTILE})
    corpus(tmp_path / "corpus.jsonl", texts)
    (tmp_path / "topics.tsv").write_text("<u>q</u>\t<s>struck</s> \u202e\n")
    more = ("--corpus", tmp_path / "corpus.jsonl", "--topics", tmp_path / "topics.tsv")
    made = make(tmp_path / "page.html", tmp_path / "out", *more, "--title", "<h2>t</h2>")
    with View(browser, made, viewport={"width": 360, "height": 700}) as page:
        assert page.title() == "<h2>t</h2>"
        assert page.locator("h1").inner_text() == "<h2>t</h2>"
        page.get_by_role("button", name="<u>q</u> <s>struck</s> ⟦U+202E⟧").click()
        page.locator("details.window > summary").click()
        playwright.expect(page.locator(".opened .said")).to_have_count(2)
        shown = page.locator(".opened").inner_text()
        visible = "onerror=\"document.title='ran'\"><b>bold</b> ⟦U+202E⟧evil⟦U+2069⟧"
        assert shown.count(visible) == 3, "passage, reasoning, answer"
        assert shown.count(f"{visible} nul⟦U+0000⟧ ⟦U+D800⟧ <!--") == 2
        assert "<i>d3</i>" in shown
        assert page.locator("img, main b b, i:has-text('d3'), u, s").count() == 0
        assert len(shown) < 50_000
        page.get_by_role("button", name=re.compile("Show all 1,000,")).click()
        assert len(page.locator(".said .prose").first.inner_text()) > len(LONG)
        assert page.title() == "<h2>t</h2>"
        assert page.evaluate("document.documentElement.scrollWidth") == 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_does_not_scroll_sideways(browser: Any, page_file: Path, scheme: str) -> None:
    options = {"viewport": {"width": 360, "height": 740}, "color_scheme": scheme}
    with View(browser, page_file, "#query=5", **options) as page:
        page.get_by_role("button", name="Open all").click()
        playwright.expect(page.locator("details.window[open]")).to_have_count(2)
        for summary in page.locator("main > section > details > summary").all():
            summary.click()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        ink, paper = page.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        assert contrast(ink, paper) > 10
        quiet = page.evaluate("getComputedStyle(document.querySelector('.quiet')).color")
        accent = page.evaluate("getComputedStyle(document.querySelector('.up')).color")
        assert min(contrast(quiet, paper), contrast(accent, paper)) > 4.5


def contrast(first: str, second: str) -> float:
    """WCAG's contrast ratio of two CSS colours rgb(r, g, b)."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_print_leaves_the_controls_out(browser: Any, page_file: Path) -> None:
    with View(browser, page_file) as page:
        page.emulate_media(media="print")
        assert not page.get_by_label("Search").is_visible()
        assert page.locator("#scores").is_visible()


COUNT_UNPACKED = """
window.unpacked = 0;
const real = DecompressionStream;
window.DecompressionStream = class extends real {
  constructor(...kind) { super(...kind); window.unpacked += 1; }
};
"""


@pytest.mark.slow
def test_a_large_report_draws_a_page_of_its_queries_and_unpacks_what_is_opened(
    browser: Any, tmp_path: Path
) -> None:
    """So it is there at once, however many queries there are: 4,500 windows, of which none is looked into."""
    made = large(tmp_path / "large", 500)
    named = [word for name in ("corpus", "topics", "qrels", "run") for word in (f"--{name}", str(made[name]))]
    path = make(tmp_path / "page.html", made["out"], *named)
    assert path.stat().st_size < 15e6
    with View(browser, path, first=COUNT_UNPACKED) as page:
        count(page, "500 queries")
        assert page.evaluate("document.getElementsByTagName('*').length") < 5000
        assert page.evaluate("document.getElementById('index').textContent.length") < 5e5
        assert page.evaluate("window.unpacked") == 0
        page.get_by_label("Search").fill("q477/passage_5.txt")
        count(page, "1 of 500 queries")
        assert page.evaluate("window.unpacked") == 1, "for the search"
        page.locator("button.open").click()
        playwright.expect(page.locator("details.window")).to_have_count(9)
        assert page.evaluate("window.unpacked") < 10
