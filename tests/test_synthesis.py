"""The parts of a synthesis: sources, pages, pools, what the teacher is asked and what is read of its answers."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from reasonrank_pyserini.engines.scripted import ScriptedEngine
from reasonrank_pyserini.errors import EngineDiedError, EngineError, FileFormatError, InputError
from reasonrank_pyserini.first_stages.base import RunFirstStage
from reasonrank_pyserini.training.list_records import Record
from reasonrank_pyserini.training.synthesis import (
    Histogram,
    Pool,
    QueryOutcome,
    Source,
    Teacher,
    TeacherPrompts,
    make_pools,
    read_sources,
    synthesize,
)
from reasonrank_pyserini.training.synthesis.list_making import ListOptions, make_list
from reasonrank_pyserini.training.synthesis.outcomes import Reason, consistency
from reasonrank_pyserini.training.synthesis.pages import html_text, page_passages, split_passages
from reasonrank_pyserini.training.synthesis.sources import Page
from reasonrank_pyserini.training.synthesis.synthesis_folder import held_documents
from reasonrank_pyserini.training.synthesis.teacher import read_picks
from reasonrank_pyserini.types import Document, Prompt, Sampling, ScoredDocument

RECIPE = Path(__file__).parents[1] / "eval" / "synthesis" / "stackexchange.py"
HTML = """<!DOCTYPE html><html><head><title> Dew &amp; point </title><style>p {}</style></head><body>
<nav>Home Shop</nav><h1>Dew</h1><p>Warm air holds more <b>water</b>.</p><script>track()</script>
<p>It leaves on cold glass.</p><form>Subscribe</form><footer>imprint</footer></body></html>"""


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def documents(count: int) -> tuple[Document, ...]:
    return tuple(Document(f"d{i}", f"text {i}") for i in range(count))


SOURCE = Source("set", "qa", "q", "What is [1] {num}?", gold="It is {query}.")


@pytest.mark.parametrize(
    ("domain", "row", "text", "gold"),
    [
        ("qa", {"query": "why", "answer": "because"}, "why", "because"),
        ("coding", {"problem": "sort", "solution": "sorted()"}, "sort", "sorted()"),
        ("math", {"theorem": "primes", "proof": "by contradiction"}, "primes", "by contradiction"),
        ("web", {"query": "mayfly", "answer": "not read"}, "mayfly", ""),
    ],
)
def test_sources_of_the_four_domains(
    tmp_path: Path, domain: str, row: dict[str, str], text: str, gold: str
) -> None:
    path = lines(tmp_path / "set.jsonl", {"id": 7, **row})
    assert list(read_sources(path, domain)) == [Source("set", domain, "7", text, gold)]


def test_a_line_may_name_its_domain_its_set_and_its_pages(tmp_path: Path) -> None:
    (tmp_path / "p.html").write_text(HTML)
    row = {
        "id": "1", "query": "q", "domain": "qa", "dataset": "bio", "negatives": ["p.html"],
        "pages": [{"file": "p.html", "url": "http://x/p"}],
    }  # fmt: skip
    (source,) = read_sources(lines(tmp_path / "s.jsonl", row))
    page = tmp_path / "p.html"
    assert (source.dataset, source.pages, source.negatives) == (
        "bio", (Page(page, "http://x/p"),), (Page(page, "p.html"),),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"id": "2", "query": "q"}, "no domain"),
        ({"id": "2", "query": "q", "domain": "low"}, "unknown domain 'low'"),
        ({"id": "2", "problem": "p", "domain": "qa"}, "no text"),
        ({"id": "2", "query": " ", "domain": "qa"}, "empty query"),
        ({"id": "1", "query": "q", "domain": "qa"}, "id '1' again (first on line 1)"),
        ({"id": "2", "query": "q", "domain": "qa", "pages": ["no.html"]}, "no.html does not exist"),
        ({"id": "2", "query": "q", "domain": "qa", "pages": "p.html"}, "not a list of pages"),
        ({"id": "2", "query": "q", "domain": "qa", "pages": [{"url": "u"}]}, "has no file"),
    ],
)
def test_bad_sources_name_the_line(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    path = lines(tmp_path / "s.jsonl", {"id": "1", "query": "q", "domain": "web"}, row)
    with pytest.raises(FileFormatError, match=r"s.jsonl:2: ") as caught:
        list(read_sources(path))
    assert said in str(caught.value)


def test_html_is_read_without_menus_and_scripts() -> None:
    title, text = html_text(HTML.encode())
    assert title == "Dew & point"
    assert text.split() == [
        "Dew",
        "Warm",
        "air",
        "holds",
        "more",
        "water.",
        "It",
        "leaves",
        "on",
        "cold",
        "glass.",
    ]
    assert html_text(b"") == ("", "")


def test_html_in_its_own_encoding() -> None:
    for raw in ("<p>café “q”</p>".encode(), "<meta charset='cp1252'><p>café “q”</p>".encode("cp1252")):
        assert html_text(raw)[1].strip() == "café “q”"


def test_pages_become_passages(tmp_path: Path) -> None:
    (tmp_path / "p.html").write_text(HTML)
    found = page_passages(Page(tmp_path / "p.html", "u"), words=6)
    assert [(d.id, d.title, " ".join(d.text.split())) for d in found] == [
        ("u#1", "Dew & point", "Dew Warm air holds more water."),
        ("u#2", "Dew & point", "It leaves on cold glass."),
    ]
    (tmp_path / "p.txt").write_text("one\n\ntwo < three")
    assert page_passages(Page(tmp_path / "p.txt", "t")) == [Document("t#1", "one\n\ntwo < three")]


def test_pages_without_text_are_reported(tmp_path: Path) -> None:
    files = {"a.html": b"<html><script>x</script>", "b.pdf": b"%PDF-1.7 <html>", "c": b"a\0b", "d": b"text"}
    for name, raw in files.items():
        (tmp_path / name).write_bytes(raw)
    source = Source("s", "qa", "q", "text", pages=tuple(Page(tmp_path / name, name) for name in files))
    empty: list[Page] = []
    (pool,) = make_pools([source], report_empty=empty.append)
    assert [document.id for document in pool.documents] == ["d#1"]
    assert [page.name for page in empty] == ["a.html", "b.pdf", "c"]


def test_a_copy_of_a_passage_is_not_another_candidate() -> None:
    corpus = Corpus(
        {id: Document(id, text) for id, text in (("a", "same  text"), ("b", "same text"), ("c", "x"))}
    )
    stage = RunFirstStage({"q": [ScoredDocument(id, 1.0) for id in "abc"]})
    (pool,) = make_pools([Source("s", "web", "q", "t")], stage=stage, documents=corpus)
    assert [document.id for document in pool.documents] == ["a", "c"]


def test_paragraphs_stay_whole_where_they_fit() -> None:
    assert list(split_passages("a b\n\nc d\n \ne f g h i\n\nj", 4)) == ["a b\n\nc d", "e f g h", "i\n\nj"]
    assert list(split_passages(" \n\n ")) == []


class Corpus(dict[str, Document]):
    def get_many(self, ids: Iterable[str]) -> dict[str, Document]:
        return {id: self[id] for id in ids if id in self}


def test_a_pool_holds_linked_passages_then_negatives_then_hits(tmp_path: Path) -> None:
    for name, count in (("linked", 4), ("wrong", 1)):
        (tmp_path / name).write_text("\n\n".join(f"{name} {i} " + "w " * 20 for i in range(count)))
    source = Source(
        "s", "qa", "q", "text", "gold",
        (Page(tmp_path / "linked", "L"),), (Page(tmp_path / "wrong", "W"),),
    )  # fmt: skip
    corpus = Corpus({d.id: d for d in documents(9)})
    stage = RunFirstStage({"q": [ScoredDocument(f"d{i}", 9.0 - i) for i in range(9)]})

    def ids(size: int, **more: Any) -> list[str]:
        (pool,) = make_pools([source], size=size, words=22, **more)
        return [document.id for document in pool.documents]

    both = {"stage": stage, "documents": corpus}
    assert ids(6, **both) == ["L#1", "L#2", "L#3", "W#1", "d0", "d1"]
    assert ids(40, **both) == ["L#1", "L#2", "L#3", "L#4", "W#1", *(f"d{i}" for i in range(9))]
    assert ids(4) == ["L#1", "L#2", "L#3", "W#1"], "nothing else to fill the pool with"
    del corpus["d0"]
    with pytest.raises(InputError, match="found 'd0', but the collection has no text for it"):
        ids(6, **both)


def test_the_teachers_prompts_show_texts_as_they_are() -> None:
    prompts = TeacherPrompts.load()
    hostile = (Document("a", "see [2] {gold} \nmore"), Document("b", "b"))
    pick = prompts.pick(SOURCE, hostile).messages[-1]["content"]
    rank = prompts.rank(SOURCE, hostile).messages[-1]["content"]
    for text in (pick, rank):
        assert "What is (1) {num}?" in text
        assert "[1] see (2) {gold} \nmore\n[2] b\n" in text
        assert text.count("[1] ") == 1 + text.count("[3] > [1]")
    assert "It is {query}." in pick
    assert "It is" not in rank
    without = prompts.pick(Source("s", "web", "q", "text"), hostile).messages[-1]["content"]
    assert "for your judgement only" not in without


def test_prompts_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[pick]\nsystem = "s"\nuser = "u"\n')
    with pytest.raises(FileFormatError, match=r"\[pick\] has no text gold"):
        TeacherPrompts.load(tmp_path / "mine.toml")
    (tmp_path / "mine.toml").write_text("[pick")
    with pytest.raises(FileFormatError, match="not TOML"):
        TeacherPrompts.load(tmp_path / "mine.toml")
    with pytest.raises(InputError, match="cannot be read"):
        TeacherPrompts.load(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("text", "picks"),
    [
        ("<think>[1]</think><answer> [3], [2] </answer>", (1, 2)),
        ("<answer>2 and 2</answer>", (1,)),
        ("<think>a</think> <answer> None. </answer>", ()),
        ("<think><answer>[1]</answer></think><answer>[2]</answer>", (1,)),
        ("<think><answer>[1]</answer>", None),
        ("<answer>[4]</answer>", None),
        ("<answer>[0]</answer>", None),
        ("<answer></answer>", None),
        ("<answer>nonetheless</answer>", None),
        ("[1], [2]", None),
        ("", None),
    ],
)
def test_picks_are_read_from_the_answer_alone(text: str, picks: tuple[int, ...] | None) -> None:
    assert read_picks(text, 3) == picks


def test_a_list_is_shuffled_by_its_seed_and_keeps_room_for_negatives() -> None:
    pool = Pool(SOURCE, documents(40))
    shown, relevant = make_list(pool, (1, 5), ListOptions(size=20, seed=1))
    assert (len(shown), len({d.id for d in shown}), set(relevant)) == (20, 20, {"d1", "d5"})
    assert make_list(pool, (1, 5), ListOptions(size=20, seed=1))[0] == shown
    assert make_list(pool, (1, 5), ListOptions(size=20, seed=2))[0] != shown
    crowded, many = make_list(pool, range(30), ListOptions(size=20))
    assert (len(crowded), len(many)) == (20, 15)
    everything, every = make_list(Pool(SOURCE, documents(3)), range(3), ListOptions(size=20))
    assert (len(everything), len(every)) == (3, 3)


PICKED = "<think>w</think><answer>[1]</answer>"


def outcome(script: Any, count: int = 3, **making: Any) -> QueryOutcome:
    """The outcome of one pool whose two calls a script answers."""
    teacher = Teacher(ScriptedEngine(script), TeacherPrompts.load(), Sampling())

    async def run() -> list[QueryOutcome]:
        pools = [Pool(SOURCE, documents(count))]
        return [one async for one in synthesize(pools, teacher, ListOptions(**making))]

    (found,) = asyncio.run(run())
    return found


def answers(*texts: str) -> Any:
    said = iter(texts)
    return lambda prompt, sampling: next(said)


def ordered(prompt: Prompt, sampling: Sampling) -> str:
    """Picks d0 first and puts it where `top_k` says; the list is read off the prompt."""
    content = prompt.messages[-1]["content"]
    if "none </answer>" in content:
        return PICKED
    shown = [line[4:] for line in content.splitlines() if line.startswith("[") and "text" in line]
    best = shown.index("text 0") + 1
    others = [number for number in range(1, len(shown) + 1) if number != best]
    return f"<think>why</think><answer>{' > '.join(f'[{n}]' for n in [best, *others])}</answer>"


def test_a_consistent_list_is_kept() -> None:
    kept = outcome(ordered)
    assert kept.reason is None
    assert kept.record is not None
    assert (kept.record.final_list[0], kept.record.relevant_docids, kept.record.reasoning) == (
        "d0", ("d0",), "why",
    )  # fmt: skip
    assert kept.consistency == 1


@pytest.mark.parametrize(
    ("texts", "reason", "calls"),
    [
        (["no answer"], Reason.UNREADABLE_PICKS, 1),
        (["<answer>none</answer>"], Reason.NOTHING_RELEVANT, 1),
        ([PICKED, "<think>unfinished"], Reason.UNREADABLE_ORDER, 2),
        ([PICKED, "<think>w</think><answer>[1] > [2]</answer>"], Reason.UNREADABLE_ORDER, 2),
        ([PICKED, "<answer>[1] > [2] > [3]</answer>"], Reason.NO_REASONING, 2),
    ],
)
def test_what_is_dropped_says_why(texts: Sequence[str], reason: Reason, calls: int) -> None:
    found = outcome(answers(*texts))
    assert (found.reason, len(found.completions)) == (reason, calls)


def test_too_few_candidates_are_never_asked_about() -> None:
    assert outcome(answers(), count=1).reason is Reason.FEW


def test_the_threshold() -> None:
    def last(prompt: Prompt, sampling: Sampling) -> str:
        said = ordered(prompt, sampling)
        head, tag, order = said.partition("<answer>")
        numbers = order.removesuffix("</answer>").split(" > ")
        return f"{head}{tag}{' > '.join(numbers[1:] + numbers[:1])}</answer>" if len(numbers) > 1 else said

    found = outcome(last, min_ndcg=0.51)
    assert (found.consistency, found.reason) == (1 / 2, Reason.INCONSISTENT)
    assert outcome(last, min_ndcg=0.5).reason is None


def test_failing_calls() -> None:
    def fails(error: Exception) -> Any:
        def script(prompt: Prompt, sampling: Sampling) -> str:
            raise error

        return script

    with pytest.raises(EngineError, match="query q: refused"):
        outcome(fails(EngineError("refused")))
    dropped = outcome(fails(EngineError("refused")), on_error="drop")
    assert (dropped.reason, dropped.detail) == (Reason.FAILED_CALL, "refused")
    with pytest.raises(EngineDiedError):
        outcome(fails(EngineDiedError("gone")), on_error="drop")


def test_the_two_calls_have_seeds_of_their_own() -> None:
    seeds: list[int | None] = []

    def script(prompt: Prompt, sampling: Sampling) -> str:
        seeds.append(sampling.seed)
        return ordered(prompt, sampling)

    outcome(script)
    outcome(script)
    assert len(seeds) == 4
    assert seeds[:2] == seeds[2:]
    assert seeds[0] != seeds[1]


def test_the_histogram_counts_what_each_threshold_keeps() -> None:
    histogram = Histogram([0.0, 0.35, 0.4, 0.41, 1.0], 0.4)
    assert (histogram.kept(), histogram.kept(0.41), histogram.kept(0)) == (3, 2, 5)
    drawn = histogram.lines(width=10)
    assert len(drawn) == 1 + 10
    assert drawn[5].endswith("0.4 keeps 3  <- threshold")
    assert "##########" in drawn[5]
    assert "#####  " in drawn[10]


def test_consistency_is_the_ndcg_of_the_order_by_the_picks() -> None:
    record = Record("s", "q", ("a", "b", "c"), ("a", "b", "c"), "w", ("c",))
    assert consistency(record) == pytest.approx(1 / 2)


def test_one_docid_has_one_text() -> None:
    one, other = Document("d", "one"), Document("d", "other")
    with pytest.raises(InputError, match="'d' has two texts"):
        held_documents([one, one, other])


def test_a_stack_exchange_dump_becomes_sources(tmp_path: Path) -> None:
    url = "https://example.org/dew"
    name = hashlib.sha256(url.encode()).hexdigest()[:16] + ".html"
    (tmp_path / name).write_text(HTML)
    body = f'&lt;p&gt;See &lt;a href="{url}"&gt;dew&lt;/a&gt; and &lt;a href="https://x.org/"&gt;x&lt;/a&gt;&lt;/p&gt;'
    body = body.replace('"', "&quot;")
    (tmp_path / "Posts.xml").write_text(
        f"""<posts><row Id="1" PostTypeId="1" AcceptedAnswerId="3" Title="Wet glass" Body="&lt;p&gt;Why?&lt;/p&gt;" />
        <row Id="2" PostTypeId="2" Body="{body}" /><row Id="3" PostTypeId="2" Body="{body}" /></posts>"""
    )
    command = [sys.executable, str(RECIPE), str(tmp_path / "Posts.xml"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    (tmp_path / "dew.jsonl").write_text(done.stdout)
    (source,) = read_sources(tmp_path / "dew.jsonl", "qa")
    assert (source.id, source.text, source.gold) == ("1", "Wet glass\n\nWhy?", "See dew and x")
    assert [page.name for page in source.pages] == [url]
    assert done.stderr.split()[1::2] == ["https://x.org/"]
