"""Answers in the forms that models write, whose other numbers are ranks, scores, or numbers of sentences."""

from __future__ import annotations

import json
import time

import pytest

from reasonrank_pyserini.permutation import parse
from reasonrank_pyserini.types import ParseStatus

CLEAN, REPAIRED, _, FAILED = ParseStatus
ORDER = [10, 3, 1, 2, 4, 5, 6, 7, 8, 9, 11]
N = len(ORDER)
CHAIN = " > ".join(f"[{name}]" for name in ORDER)
NUMBERS = " > ".join(map(str, ORDER))
RANKED = list(enumerate(ORDER, 1))


def lines(form: str, *, head: str = "") -> str:
    """One line a passage, of its rank `r`, its name `p` and a falling score `s` (whole) or `f` (a fraction)."""
    return head + "\n".join(form.format(r=r, p=p, s=N + 1 - r, f=f"0.{99 - r}") for r, p in RANKED)


def records(**fields: str) -> str:
    """JSON objects with rank `r` and name `p` in these fields, the first passage last where a rank tells."""
    rows = [
        {name: {"r": r, "p": p, "s": N + 1 - r}[kind] for name, kind in fields.items()} for r, p in RANKED
    ]
    return json.dumps({"ranking": rows[::-1] if "rank" in fields else rows})


FORMS = [
    # restated passages, sentences, drafts
    "[1] discusses cats. [2] discusses dogs. Ranking: " + CHAIN,
    "\n".join(f"[{name}] is about topic {name}" for name in range(1, N + 1)) + "\n\n" + CHAIN,
    f"Of {N} passages, 1 is bad. {NUMBERS}",
    f"Ranking of the {N} passages: {NUMBERS}",
    "Draft: " + " > ".join(f"[{name}]" for name in range(1, N + 1)) + "\nFinal: " + CHAIN,
    CHAIN + "\n[3] is worse than [10] since 5 of 7.",
    f"{CHAIN} > {CHAIN}",
    # ranges, groups, ties
    "[10] > [3] > [1]-[2] > [4]-[9] > [11]",
    "[10] > [3] > [1] > [2] > [4]–[9] > [11]",
    "[10] > [3] > [1] > [2] > [4-9] > [11]",
    "[10] > [3] > [1] > [2] > [4] to [9] > [11]",
    "10 > 3 > 1 > 2 > 4-9 > 11",
    " - ".join(f"[{name}]" for name in ORDER),
    "[10, 3] > [1] > [2, 4, 5] > [6] > [7] > [8] > [9] > [11]",
    CHAIN.replace(" > [3]", " = [3]"),
    # identifiers dressed up
    *(" > ".join(form % name for name in ORDER)
      for form in ("[#%d]", "#%d", "[ID %d]", "[Doc %d]", "[D%d]", "[%03d]", r"\[%d\]", "Passage #%d", "**%d**")),
    "".join(f"<id>{name}</id>" for name in ORDER),
    f"\\boxed{{{CHAIN}}}",
    f"```\n{CHAIN}\n```",
    # lists and tables without brackets
    *map(lines, ("{r}. {p}", "{r}) {p}", "({r}) {p}", "**{r}.** {p}", "#{r}: {p}", "{r} - {p}", "Rank {r}: {p}",
                 "{r}th: {p}", "| {r} | {p} |", "{r}. {p} (score {s})", "{r}. Passage {p} - covers {s} of 3",
                 "{r}\t{p}", "{r},{p}")),
    lines("| {r} | {p} | {f} |", head="| Rank | Passage | Score |\n|---|---|---|\n"),
    lines("{r}. {p}", head="Ranking:\n\n"),
    # scores
    *map(lines, ("{p}: {f}", "{p} ({f})", r"\[{p}\]: {f}", "Text {p}: {s}", "Candidate {p} (score {s})",
                 "{p}: {s}/12")),
    # JSON
    json.dumps(ORDER),
    records(id="p", score="s"), records(rank="r", passage_id="p"), records(rank="r", doc_id="p"),
    records(rank="r", index="p"), records(rank="r", number="p", score="s"),
    json.dumps({str(name): 0.99 - rank / 100 for rank, name in RANKED}),
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_tagged_answer_in_any_form(form: str) -> None:
    found = parse(f"<think>[2] > [1]</think><answer>{form}</answer>", N)
    assert [index + 1 for index in found.order] == ORDER
    assert found.status in (CLEAN, REPAIRED)


@pytest.mark.parametrize(
    "content",
    [CHAIN, f"\\boxed{{{CHAIN}}}", f"```\n{CHAIN}\n```", f"**{CHAIN}**", NUMBERS, json.dumps(ORDER), f"{CHAIN}.",
     CHAIN.replace("[", "【").replace("]", "】"), lines("{r}. [{p}]"), lines("- [{p}]"), CHAIN.replace(">", "＞"),
     CHAIN.replace(">", "≻"), f"${CHAIN.replace('>', chr(92) + 'succ')}$"],
)  # fmt: skip
def test_a_content_that_is_nothing_but_a_permutation(content: str) -> None:
    found = parse(f"<think>[2]</think>{content}", N)
    assert ([index + 1 for index in found.order], found.status) == (ORDER, CLEAN)


@pytest.mark.parametrize(
    "content",
    [f"Ranking: {CHAIN}", f"The order is {NUMBERS}", "10", "[10] is best", "3 of 11", "2019-2020", "1. 10\n2. 3",
     "", "10 > 3 > 1", f"{NUMBERS} > 1", "I rank [10] > [3]", CHAIN[:-3], "[1]-[11] are all bad"],
)  # fmt: skip
def test_prose_and_parts_are_not_read_without_tags(content: str) -> None:
    assert parse(f"<think>[2]</think>{content}", N).status is FAILED


@pytest.mark.parametrize(
    "reasoning",
    ["<thinking>[1], [2]</thinking>", "<Thought>[2]</Thought>", "<reasoning>[2] > [1]</reasoning>\n",
     "[THINK]<answer>[2] > [1]</answer>[/THINK]", "<seed:think>[2]</seed:think>", "◁think▷[2]◁/think▷",
     "<|channel|>analysis<|message|>[2]<|end|><|start|>assistant<|channel|>final<|message|>",
     "analysisWe compare [2] and [1].assistantfinal"],
)  # fmt: skip
@pytest.mark.parametrize("answer", ["tagged", "bare"])
def test_reasoning_in_other_tags_is_not_read(reasoning: str, answer: str) -> None:
    found = parse(reasoning + CHAIN, N, answer=answer)  # type: ignore[arg-type]
    assert [index + 1 for index in found.order] == ORDER


@pytest.mark.parametrize("text", ["<thinking>[2] > [1], then", "<reasoning>" + CHAIN])
def test_unfinished_reasoning_in_other_tags_is_not_read(text: str) -> None:
    assert parse(text, N, answer="bare").status is FAILED


@pytest.mark.parametrize(
    "text",
    [f"<think>r</think>&lt;answer&gt;{CHAIN.replace('>', '&gt;')}&lt;/answer&gt;",
     f"<final_answer>{CHAIN}</final_answer>",
     f"<think>r</think><ranking>{CHAIN}</ranking>"],
)  # fmt: skip
def test_the_answers_tags_in_other_spellings(text: str) -> None:
    assert [index + 1 for index in parse(text, N).order] == ORDER


def test_what_cannot_be_made_whole_keeps_the_order_of_mention() -> None:
    def order(text: str, count: int | None = None) -> list[int]:
        return [index + 1 for index in parse(f"<answer>{text}</answer>", 5, count=count).order]

    assert order("[4] > [2]-[1] > [4]") == [4, 2, 1, 3, 5]
    assert order("Rank 1: 4\nRank 2: 2") == [4, 2, 1, 3, 5]
    assert order("1. 4\n2. 2\n4. 5") == [1, 4, 2, 5, 3]
    assert order("2: 0.9, 4: 0.5") == [2, 4, 1, 3, 5]
    assert order("The best 2 of 5: 4 > 2", count=2) == [4, 2, 1, 3, 5]


def test_megabytes_of_numbers_take_linear_time() -> None:
    texts = ["1 ", "[1-", "1: ", "| 1 ", "<thinking>", '"a": 1', "passage ", "1 > ", "[1, ", "1\n\n", "0.5", "1-2 ",
             "(((1", "\n \n", "1" + " " * 1000, "[THINK]", "1/", "#", "rank 1"]  # fmt: skip
    began = time.process_time()
    for text in texts:
        many = text * (200_000 // len(text))
        parse(f"<answer>a {many}</answer>", 20)
        parse(many, 20, answer="bare")
    assert time.process_time() - began < 60
