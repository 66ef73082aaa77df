"""The requests of RAG systems whose clients cannot be installed alone, replayed as their sources send them.

Read: open-webui `backend/open_webui/retrieval/models/external.py` (0668cb7), dify-official-plugins
`models/openai_api_compatible/models/rerank/rerank.py` (225e44d), dify-plugin-sdks
`python/dify_plugin/interfaces/model/openai_compatible/rerank.py` (1e544b4), ragflow `rag/llm/rerank_model.py`
(5b404a9).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

MODEL = "reasonrank"


@dataclass(frozen=True, slots=True)
class RagRequest:
    """One system's request.

    `body`: of a query and documents. `scores`: by position, read from an answer as the system reads them.
    """

    name: str
    path: str
    body: Callable[[str, list[str]], dict[str, Any]]
    scores: Callable[[Any, int], list[float]]
    token: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)


def _jina(query: str, documents: list[str]) -> dict[str, Any]:
    return {"model": MODEL, "query": query, "documents": documents, "top_n": len(documents)}


def _by_index(answer: Any, count: int) -> list[float]:
    scores = [0.0] * count
    for result in answer["results"]:
        scores[result["index"]] = result["relevance_score"]
    return scores


def _sorted_by_index(answer: Any, count: int) -> list[float]:
    """A missing result would shift the scores of all that follow."""
    return [
        result["relevance_score"] for result in sorted(answer["results"], key=lambda found: found["index"])
    ]


def _with_texts(answer: Any, count: int) -> list[float]:
    assert all(isinstance(result["document"]["text"], str) for result in answer["results"])
    return _by_index(answer, count)


def _with_tokens(answer: Any, count: int) -> list[float]:
    """The client adds both counts; an answer at the deadline, the documents as given, has spent none."""
    tokens = answer["meta"]["tokens"]
    spent = [tokens["input_tokens"], tokens["output_tokens"]]
    assert all(one > 0 for one in spent) or (answer["meta"].get("cut_short") and spent == [0, 0])
    return _by_index(answer, count)


def _tei(answer: Any, count: int) -> list[float]:
    scores = [0.0] * count
    for result in answer:
        scores[result["index"]] = result["score"]
    return scores


def _xinference(query: str, documents: list[str]) -> dict[str, Any]:
    flags = {"return_documents": "true", "return_len": "true"}
    return {"model": MODEL, "query": query, **flags, "documents": documents}


def _siliconflow(query: str, documents: list[str]) -> dict[str, Any]:
    more = {"return_documents": False, "max_chunks_per_doc": 1024, "overlap_tokens": 80}
    return {**_jina(query, documents), **more}


REQUESTS = (
    RagRequest(
        "Open WebUI",
        "/v1/rerank",
        _jina,
        _sorted_by_index,
        headers={"X-OpenWebUI-User-Name": "A", "X-OpenWebUI-User-Id": "1"},
    ),
    RagRequest("Dify, plugin", "/v1/rerank", _jina, _by_index),
    RagRequest(
        "Dify, SDK",
        "/v1/rerank",
        lambda query, documents: {**_jina(query, documents), "top_n": None, "return_documents": True},
        _with_texts,
    ),
    RagRequest(
        "Dify, check of the settings",
        "/v1/rerank",
        lambda query, documents: {**_jina(query, documents), "top_n": len(documents) + 1},
        _by_index,
    ),
    RagRequest("RAGFlow, OpenAI-API-Compatible", "/rerank", _jina, _by_index),
    RagRequest("RAGFlow, GPUStack", "/v1/rerank", _jina, _by_index),
    RagRequest("RAGFlow, Xinference", "/v1/rerank", _xinference, _by_index),
    RagRequest("RAGFlow, SILICONFLOW", "/v1/rerank", _siliconflow, _with_tokens),
    RagRequest(
        "RAGFlow, HuggingFace",
        "/rerank",
        lambda query, documents: {"query": query, "texts": documents, "raw_scores": False, "truncate": True},
        _tei,
        token=False,
    ),
)
