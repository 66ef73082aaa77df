"""A report of hostile text: it stays data, and only the page's own script may run."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from page_kit import EVERYTHING, Documents, Page, files, report
from report_kit import WritingJudge, rerank

from reasonrank_pyserini.evaluation.report import Sources, read_result, write_report
from reasonrank_pyserini.ranking.oracle_judge import OracleJudge
from reasonrank_pyserini.types import Document

__all__ = ["files"]  # fixture

HOSTILE = (
    "</script><script>document.title='x'</script>",
    "<!--<script>",
    "]]>&lt;img src=x onerror=alert(1)>",
    "\u202eright to left\u2066",
    "nul \0 bell \a",
    "lone \ud800 surrogate",
    "@BLOCKS@\n@INDEX@",
    "long " + "x" * 200_000,
)


def test_hostile_text_stays_inside_the_data(tmp_path: Path) -> None:
    class Judge(WritingJudge):
        pass

    texts = {f"d{n} {text[:60]}": text for n, text in enumerate(HOSTILE)}
    run = {f"q{n}": list(texts) for n in range(2)}
    judge = Judge(OracleJudge({}), lambda q, d, o: "\n".join(HOSTILE) + "<answer>[1]</answer>")
    out = tmp_path / "out"
    safe = {id: text.replace("\0", " ").replace("\n", " ") for id, text in texts.items()}
    ids = {id: f"d{n}" for n, id in enumerate(safe)}
    rerank(out, {q: [ids[d] for d in docs] for q, docs in run.items()}, queries={}, judge=judge)
    queries = {q: " ".join(HOSTILE) for q in run}
    store = Documents({ids[id]: Document(ids[id], text, title=text[:50]) for id, text in safe.items()})
    result = read_result("</script>", out)
    write_report(
        tmp_path / "page.html", [(result, Sources(documents=store, queries=queries))], title=HOSTILE[0]
    )
    page = Page(tmp_path / "page.html")
    assert set(page.raw_index) & set("<>&") == set()
    assert page.text.count("<script>") == 1
    assert page.text.count("</script>") == page.text.count("<script") == 2 + len(page.blocks)
    assert page.index["results"][0]["name"] == "</script>"
    assert page.blocks["s0"]["queries"][0] == queries["q0"]
    assert page.blocks["w0"][0]["strings"][1].startswith("\n".join(HOSTILE)[:100])
    assert max(map(len, page.blocks["t0"])) == 301


def test_the_page_names_no_other_host_and_only_its_own_script_may_run(files: Path) -> None:
    assert report("out", *EVERYTHING) == 0
    page = Page(files / "page.html")
    own = re.sub(r'<script type="application.*?</script>', "", page.text, flags=re.DOTALL)
    assert re.findall(r"https?:|//[a-z]+\.|url\(|@import|<link|<img|innerHTML|\beval\b|style=", own) == []
    (script,) = re.findall(r"<script>(.*?)</script>", own, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", own, re.DOTALL)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', own)
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, style)]
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{digests[0]}'; style-src 'sha256-{digests[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )
