"""The shapes of Cohere, Jina, vLLM and TEI over HTTP: what their clients send, what they read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serve_kit import MODEL, QUERY, TEXTS, backwards, served

from reasonrank_pyserini import Candidate, Document, Query, Ranking
from reasonrank_pyserini.engines.scripted import ScriptedEngine
from reasonrank_pyserini.server.refusal import Refusal
from reasonrank_pyserini.server.rerank_call import RerankCall, Shape, read_call
from reasonrank_pyserini.server.rerank_reply import reply
from reasonrank_pyserini.server.server_settings import ServerLimits

BACK = [3, 2, 1, 0]
SCORES = [4 / 4, 3 / 4, 2 / 4, 1 / 4]
ALL = ("/v2/rerank", "/v1/rerank", "/rerank")


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with served(ScriptedEngine(backwards)) as client:
        yield client


def asked(client: httpx.Client, path: str, **fields: Any) -> Any:
    response = client.post(path, json={"query": QUERY, "documents": TEXTS, **fields})
    assert response.status_code == 200, response.text
    return response.json()


def test_cohere_v2(client: httpx.Client) -> None:
    found = asked(client, "/v2/rerank", model="rerank-v3.5", top_n=2, max_tokens_per_doc=None)
    assert found["results"] == [
        {"index": index, "relevance_score": score} for index, score in zip(BACK[:2], SCORES, strict=False)
    ]
    assert found["id"]
    assert found["meta"]["api_version"] == {"version": "2"}
    whole = asked(client, "/v2/rerank", return_documents=True)["results"]
    assert [result["document"] for result in whole] == [{"text": text} for text in TEXTS[::-1]]


def test_cohere_v1_with_documents_as_objects(client: httpx.Client) -> None:
    records = [{"text": text, "url": f"u{i}", "views": i} for i, text in enumerate(TEXTS)]
    found = asked(client, "/v1/rerank", documents=records, return_documents=True)["results"]
    assert [result["index"] for result in found] == BACK
    assert found[0]["document"] == {"text": TEXTS[3], "url": "u3"}
    bare = asked(client, "/v1/rerank", documents=records, return_documents=False)["results"]
    assert all(result.keys() == {"index", "relevance_score"} for result in bare)


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank"])
def test_jina_and_vllm(client: httpx.Client, path: str) -> None:
    found = asked(client, path, model="jina-reranker-v2", top_n=3)
    assert found["model"] == MODEL.name
    assert found["usage"] == {"prompt_tokens": 100, "total_tokens": 120}
    assert found["results"] == [
        {"index": index, "relevance_score": score, "document": {"text": TEXTS[index]}}
        for index, score in zip(BACK[:3], SCORES, strict=False)
    ]
    assert found["meta"]["cut_short"] is False


def test_tei_gets_a_bare_list_of_every_text(client: httpx.Client) -> None:
    request = {"query": QUERY, "texts": TEXTS, "raw_scores": True, "truncate": True, "top_n": 1}
    found = client.post("/rerank", json=request).json()
    assert found == [{"index": index, "score": score} for index, score in zip(BACK, SCORES, strict=True)]
    shown = client.post("/rerank", json={**request, "return_text": True}).json()
    assert [row["text"] for row in shown] == TEXTS[::-1]


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize("top_n", [None, 0, 4, 5, 10**30])
def test_no_top_n_none_and_too_many_mean_all(client: httpx.Client, path: str, top_n: int | None) -> None:
    assert len(asked(client, path, top_n=top_n)["results"]) == len(TEXTS)


@pytest.mark.parametrize("path", ALL)
def test_unknown_and_null_fields_are_accepted(client: httpx.Client, path: str) -> None:
    nothing = dict.fromkeys(
        ("model", "top_n", "max_tokens_per_doc", "return_documents", "rank_fields", "reasoning", "deadline")
    )
    assert len(asked(client, path, **nothing, truncate_prompt_tokens=3, user={"a": [None]})["results"]) == 4


@pytest.mark.parametrize("path", ALL)
def test_equal_and_empty_texts_stay_documents_of_their_own(client: httpx.Client, path: str) -> None:
    found = asked(client, path, documents=["same", "same", "", ""])["results"]
    assert [result["index"] for result in found] == [3, 2, 1, 0]


@pytest.mark.parametrize("path", ALL)
def test_no_documents_give_no_results(client: httpx.Client, path: str) -> None:
    assert asked(client, path, documents=[])["results"] == []
    assert client.post("/rerank", json={"query": QUERY, "texts": []}).json() == []


def test_what_follows_the_depth_keeps_its_order() -> None:
    documents = [f"text {i}" for i in range(25)]
    with served(ScriptedEngine(backwards), depth=20) as client:
        found = asked(client, "/v2/rerank", documents=documents)["results"]
    assert [result["index"] for result in found] == [*range(19, -1, -1), *range(20, 25)]


def test_reasoning_comes_where_it_is_asked_for(client: httpx.Client) -> None:
    (window,) = asked(client, "/v1/rerank", reasoning=True)["meta"]["reasoning"]
    assert window == {
        "window": [0, 1, 2, 3],
        "order": BACK,
        "status": "CLEAN",
        "reasoning": "the later the better",
        "truncated": False,
    }
    assert "reasoning" not in asked(client, "/v1/rerank")["meta"]
    texts = client.post("/rerank", json={"query": QUERY, "texts": TEXTS, "reasoning": True}).json()
    assert [row["index"] for row in texts] == BACK


def test_fields_of_a_document_are_shown_as_rank_fields_name_them() -> None:
    call = read_call(
        {
            "query": "q",
            "documents": [{"a": "one", "b": "two", "n": 3}, {"text": "three"}],
            "rank_fields": ["b", "a", "n"],
        },
        Shape.JINA,
        ServerLimits(),
    )
    assert call.documents == (Document("0", "b: two\na: one"), Document("1", "three"))


def test_a_title_is_shown_as_a_title() -> None:
    call = read_call(
        {"query": "q", "documents": [{"title": "T", "contents": "x"}]}, Shape.JINA, ServerLimits()
    )
    assert call.documents == (Document("0", "x", "T"),)


def ranked(count: int, top_n: int, shape: Shape) -> list[float]:
    documents = tuple(Document(str(i), "") for i in range(count))
    call = RerankCall(shape, "q", documents, None, top_n)
    ranking = Ranking(Query("0", "q"), tuple(Candidate(document) for document in documents[::-1]))
    found = reply(call, ranking, id="x", model="m", reasoning_characters=10)
    rows = found if shape is Shape.TEI else found["results"]
    return [row["score" if shape is Shape.TEI else "relevance_score"] for row in rows]


@given(st.integers(1, 2000), st.sampled_from(Shape), st.data())
def test_scores_fall_strictly_from_1_and_stay_above_0(count: int, shape: Shape, data: Any) -> None:
    top_n = data.draw(st.integers(1, count))
    scores = ranked(count, top_n, shape)
    assert len(scores) == (count if shape is Shape.TEI else top_n)
    assert scores[0] == 1
    assert scores == sorted(set(scores), reverse=True)
    assert scores[-1] > 0


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    [
        "query",
        "documents",
        "texts",
        "top_n",
        "rank_fields",
        "return_documents",
        "return_text",
        "deadline",
        "reasoning",
    ]
)


@given(st.dictionaries(FIELDS, VALUES), st.sampled_from(Shape))
def test_any_fields_are_a_call_or_are_refused(fields: dict[str, Any], shape: Shape) -> None:
    try:
        call = read_call(fields, shape, ServerLimits(documents=2))
    except Refusal as error:
        refusal = error
    else:
        assert 0 <= call.top_n <= len(call.documents) <= 2
        return
    assert refusal.status in (400, 413)
    assert len(refusal.message) < 200
