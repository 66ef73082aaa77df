"""The prompts of other rerankers, byte for byte as their authors' programs write them."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rankers_kit import built, qwen, rows, style

from reasonrank_pyserini.prompts import MessageStyle
from reasonrank_pyserini.prompts.message_style import Turn
from reasonrank_pyserini.types import Document, Prompt

__all__ = ["qwen"]  # fixture

PROMPT_FILES = {
    "prompt_setwise-R1.toml": "rank-r1",
    "prompt_setwise-R1-v0.2.toml": "rank-r1-v0.2",
    "prompt_setwise.toml": "setwise-sft",
}
BEIR = {
    "SciFact": "beir/scifact", "ClimateFEVER": "beir/climate-fever", "TRECCOVID": "beir/trec-covid",
    "ArguAna": "beir/arguana", "DBPedia": "beir/dbpedia-entity", "FiQA2018": "beir/fiqa",
    "NFCorpus": "beir/nfcorpus", "Touche2020": "beir/webis-touche2020", "SCIDOCS": "beir/scidocs",
}  # fmt: skip


@pytest.fixture(scope="module")
def qwen3(shared: Path) -> Any:
    """The same vocabulary with a template that closes the reasoning at once where thinking is off."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(shared / "golden" / "qwen2.5-tokenizer")
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "<|im_start|>assistant\n{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
    )
    return tokenizer


def document(record: Any) -> Document:
    return Document("d", record) if isinstance(record, str) else Document.from_record("d", record)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def check(row: dict[str, Any], prompt: Prompt, tokenizer: Any) -> None:
    """The chat, the rendered text and, where no control string was made plain, the number of tokens."""
    if "user" in row:
        assert prompt.messages[-1]["content"] == row["user"], row["id"]
    if row.get("messages"):
        assert [dict(message) for message in prompt.messages] == row["messages"], row["id"]
    if "rendered_sha256" in row:
        assert sha256(prompt.text) == row["rendered_sha256"], row["id"]
    if "num_tokens" in row and list(prompt.token_ids or ()) == tokenizer(prompt.text).input_ids:
        whole = len(prompt.token_ids or ())
        assert row["num_tokens"] in (whole, len(tokenizer(prompt.messages[-1]["content"]).input_ids)), row[
            "id"
        ]


def rank1_task(row: dict[str, Any]) -> str:
    if row["skip_prompt"] or row["task"] is None:
        return ""
    if row["task"] == "BrightRetrieval":
        return f"bright/{row['subtask']}"
    return BEIR.get(row["task"], row["task"])


def test_rank1(shared: Path, qwen: Any) -> None:
    for row in rows(shared, "rank1", "prompts"):
        if (
            row["kind"] == "rethink"
        ):  # a step that stops the authors' program with a NameError: not offered here
            continue
        chosen = style("rank1").for_task(rank1_task(row))
        if row["wrapper"] is not None and not row["skip_prompt"]:
            assert chosen.query == row["wrapper"].replace("FILL_QUERY_HERE", "{query}"), row["id"]
        several = "pairs" in row
        pairs = row["pairs"] if several else [(row["query"], row["passage"])]
        firsts = [pair[2] if len(pair) > 2 else row.get("instruction") for pair in pairs]
        for number, (query, passage, *_) in enumerate(pairs):
            if firsts[0] is not None:  # one of None in the first pair switches all off
                query = (
                    f"{query} {firsts[number]}".strip()
                    if firsts[number].strip() != query.strip()
                    else query.strip()
                )
            expected = row["prompts"][number] if several else row["prompt"]
            if (
                isinstance(passage, dict) and passage.get("title") == ""
            ):  # a blank before the text, left out here
                expected = expected.replace(f"Passage:  {passage['text']}", f"Passage: {passage['text']}")
            prompt = built(chosen, qwen, query, [document(passage)])
            assert (prompt.text, prompt.messages) == (expected, ()), row["id"]


def test_grouprank(shared: Path, qwen: Any) -> None:
    for row in rows(shared, "diver-grouprank", "prompts"):
        if row["kind"] == "system":
            assert style("diver-grouprank").turns[0].text == row["system"]
            continue
        steps = ("one-line", f"characters {row['max_doc_len']}")
        chosen = replace(style("diver-grouprank"), prepare=steps)
        groups = row.get("groups") or [group for epoch in row.get("epochs", ()) for group in epoch]
        for group in groups:
            several = "queries" in row
            docs = row["docs"][group["qid"]] if several else row["docs"]
            texts = {item["id"]: item["text"] for item in docs}
            documents = [Document(docid, texts[docid]) for docid in group["docids"]]
            query = row["queries"][group["qid"]] if several else row["query"]
            check(group | {"id": row["id"]}, built(chosen, qwen, query, documents), qwen)


def test_retro_star(shared: Path, qwen: Any, qwen3: Any) -> None:
    for row in rows(shared, "retro-star", "prompts"):
        whole = row["max_prompt_length"]
        limits = [row[f"truncate_{part}_max_length"] for part in ("query", "doc")]
        query, doc = (whole if limit is None else limit for limit in limits)
        names = ("query_type", "doc_type", "relevance_definition")
        values = {name: row[name] for name in names}
        if row.get("task"):
            assert style("retro-star").for_task(f"bright/{row['task']}").values == values
        chosen = replace(
            style("retro-star"),
            values=values, prepare=(f"tokens {doc}",), prepare_query=(f"tokens {query}",),
        )  # fmt: skip
        documents = [Document("d", row["doc"])]
        prompt = built(chosen, qwen, row["query"], documents, last_turn_tokens=whole)
        check(row, prompt, qwen)
        if "rendered_qwen3" in row:
            assert prompt.text == row["rendered_qwen25"]
            prompt = built(chosen, qwen3, row["query"], documents, last_turn_tokens=whole)
            assert prompt.text == row["rendered_qwen3"]


def with_tokens(chosen: MessageStyle, limit: int | None) -> MessageStyle:
    return replace(chosen, prepare=() if limit is None else (f"tokens {limit}",))


def test_rank_k(shared: Path, qwen: Any) -> None:
    for row in rows(shared, "rank-k", "prompts"):
        documents = [document(text) for text in row["docs"]]
        chosen = with_tokens(style("rank-k"), row["truncate_doc_to"])
        check(row, built(chosen, qwen, row["query"], documents), qwen)


def test_passages_of_rank_k_are_joined(shared: Path, qwen: Any) -> None:
    for row in rows(shared, "rank-k", "scores"):
        if row["kind"] == "combine":
            documents = [document(text) for text in row["passages"]]
            text = built(with_tokens(style("rank-k"), None), qwen, "why", documents).text
            assert f"\n\nQuery: why\n\n{row['text']}\n" in text, row["id"]


def test_erank(shared: Path, qwen: Any) -> None:
    for row in rows(shared, "erank", "prompts"):
        cut = row["truncate_length"]
        chosen = with_tokens(style("erank"), cut)
        chosen = replace(chosen, prepare_query=chosen.prepare, values={"instruction": row["instruction"]})
        check(row, built(chosen, qwen, row["query"], [document(row["doc"])]), qwen)


def test_rank_r1(shared: Path, qwen: Any) -> None:
    for row in rows(shared, "rank-r1", "prompts"):
        if row["kind"] == "truncate":
            shows = MessageStyle("cut", (Turn("user", "{text}"),), prepare=(f"tokens {row['length']}",))
            assert built(replace(shows, chat=False), qwen, "", [document(row["text"])]).text == row["result"]
            continue
        if row["raises"]:  # more passages than labels, a prompt file without a label
            continue
        chosen = replace(style(PROMPT_FILES[row["prompt_file"]]), prepare=(), prepare_query=())
        if row["impl"] == "package":
            chosen = replace(chosen, passage="[{i}] {text}", separator="\n")
        n = len(row["docs"])
        assert random.Random(row["seed"]).sample(range(n), n) == row["shown_order"]
        documents = [document(row["docs"][place]) for place in row["shown_order"]]
        check(row, built(chosen, qwen, row["query"], documents), qwen)


def test_rearank(shared: Path, qwen: Any) -> None:
    for row in rows(shared, "rearank", "prompts"):
        chosen = style({"rearank": "rearank", "rankgpt": "rankgpt-chat"}[row["mode"]])
        documents = [document(text) for text in row["docs"][row["rank_start"] : row["rank_end"]]]
        check(row, built(chosen, qwen, row["query"], documents), qwen)


def test_insertrank(shared: Path, qwen: Any) -> None:
    for row in rows(shared, "insertrank", "prompts"):
        shown = slice(row["rank_start"], row["rank_end"])
        steps = ("strip", "fixed", f"words {row['max_passage_words']}", "unbracketed")
        chosen = replace(style("insertrank"), prepare=steps)
        documents = [document(record) for record in row["docs"][shown]]
        scores = [float(score) for score in row["scores"][shown]]
        prompt = built(chosen, qwen, row["query"], documents, scores=scores)
        check(row, prompt, qwen)
        if "rendered_qwen25_fixed" in row:
            assert prompt.text == row["rendered_qwen25_fixed"], row["id"]


@pytest.mark.parametrize(
    ("data_set", "words"),
    [
        ("bright/aops", "Find different but similar math problems to why"),
        ("bright/biology", "Can you find background information"),
        ("beir/scifact/test", "Claim: why"),
        ("beir/nq", "Query: why\n"),
        ("", "Query: why\n"),
    ],
)
def test_a_prompt_depends_on_the_data_set(data_set: str, words: str, qwen: Any) -> None:
    prompt = built(style("rank1").for_task(data_set), qwen, "why", [Document("d", "because")])
    assert words in prompt.text
