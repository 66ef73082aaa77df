"""The server's OpenAPI document, and an HTML page of it."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

from .. import __version__
from .server_settings import ServerSettings

Json = dict[str, Any]


def document(settings: ServerSettings) -> Json:
    """The OpenAPI 3.1 document of a server with these settings."""
    rerank = {
        "/v2/rerank": _rerank("Rerank, as Cohere v2.", _documents(settings), _ref("Reranked")),
        "/v1/rerank": _rerank("Rerank, as Jina, vLLM and Cohere v1.", _documents(settings), _ref("Reranked")),
        "/rerank": _rerank(
            "Rerank, as TEI (with `texts`) or as Jina (with `documents`).",
            {"anyOf": [_texts(settings), _documents(settings)]},
            {"anyOf": [_ref("TextRanks"), _ref("Reranked")]},
        ),
    }
    pages = {
        "/health": _page("Whether the process lives.", "application/json"),
        "/ready": _page("Whether the engine serves: 503 where it has stopped.", "application/json", 503),
        "/info": _page("The model, its settings and the limits.", "application/json", 401),
        "/v1/models": _page("The model, as OpenAI lists models.", "application/json", 401),
        "/metrics": _page("Figures for Prometheus.", "text/plain", 401),
    }
    found: Json = {
        "openapi": "3.1.0",
        "info": {"title": "reasonrank-pyserini", "version": __version__, "description": DESCRIPTION},
        "paths": {**rerank, **pages},
        "components": {"schemas": {"Error": ERROR, "Reranked": RERANKED, "TextRanks": TEXT_RANKS}},
    }
    if settings.tokens:
        found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path in (*rerank, "/info", "/v1/models", "/metrics"):
            for operation in found["paths"][path].values():
                operation["security"] = [{"token": []}]
    return found


DESCRIPTION = (
    "Scores are ranks: (n - place) / n. They are not comparable between requests. If cut_short is true, "
    "the deadline passed and the reply is the best order so far."
)
STRING: Json = {"type": "string"}
FLAG: Json = {"enum": [True, False, "true", "false", None]}
COUNT: Json = {"type": "integer", "minimum": 0}
SCORE: Json = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
ERROR: Json = {
    "type": "object",
    "required": ["message", "detail", "error", "error_type"],
    "properties": dict.fromkeys(("message", "detail", "error", "error_type"), STRING),
}
RERANKED: Json = {
    "type": "object",
    "required": ["id", "model", "usage", "results", "meta"],
    "properties": {
        "id": STRING,
        "model": STRING,
        "usage": {
            "type": "object",
            "required": ["prompt_tokens", "total_tokens"],
            "properties": {"prompt_tokens": COUNT, "total_tokens": COUNT},
        },
        "results": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "relevance_score"],
                "properties": {
                    "index": COUNT,
                    "relevance_score": SCORE,
                    "document": {"type": "object", "required": ["text"], "additionalProperties": STRING},
                },
            },
        },
        "meta": {
            "type": "object",
            "required": ["cut_short"],
            "properties": {"cut_short": {"type": "boolean"}},
        },
    },
}
TEXT_RANKS: Json = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["index", "score"],
        "properties": {"index": COUNT, "score": SCORE, "text": STRING},
    },
}
REFUSALS = {
    "400": "The request cannot be used.",
    "401": "A token is needed.",
    "408": "The body did not arrive in time.",
    "413": "The request is over a limit.",
    "415": "The body is not declared as JSON.",
    "429": "The server is full; see Retry-After.",
    "500": "The model or its engine failed.",
    "503": "The engine has stopped.",
}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _or_null(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}


def _asked(documents: str, items: Json, more: Mapping[str, Json], settings: ServerSettings) -> Json:
    """The schema of a request; unknown fields are ignored."""
    fields = {
        "query": {"type": "string", "pattern": r"\S", "description": "What the documents are ranked for."},
        documents: {"type": "array", "items": items, "description": f"At most {settings.limits.documents}."},
        "deadline": {
            **_or_null({"type": "number", "exclusiveMinimum": 0}),
            "description": f"Seconds until the best order so far is the reply, at most {settings.longest_deadline:g}.",
        },
        "model": {"description": "Ignored: there is one model."},
        **more,
    }
    return {"type": "object", "required": ["query", documents], "properties": fields}


def _documents(settings: ServerSettings) -> Json:
    record = {"type": "object", "required": ["text"], "properties": {"text": STRING}}
    more = {
        "top_n": {**_or_null(COUNT), "description": "How many results: null and 0 mean all."},
        "return_documents": FLAG,
        "rank_fields": {
            **_or_null({"type": "array", "items": STRING}),
            "description": "Fields of documents that are objects to show in this order, in place of text.",
        },
        "reasoning": {**FLAG, "description": "Return the model's reasoning in meta."},
    }
    return _asked("documents", {"anyOf": [STRING, record]}, more, settings)


def _texts(settings: ServerSettings) -> Json:
    ignored = {name: {"description": "Ignored."} for name in ("raw_scores", "truncate")}
    return _asked("texts", STRING, {"return_text": FLAG, **ignored}, settings)


def _rerank(summary: str, asked: Json, reply: Json) -> Json:
    refusals = {status: _error(text) for status, text in REFUSALS.items() if status != "503"}
    ranked = {"description": "The documents, best first.", "content": {"application/json": {"schema": reply}}}
    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": {"application/json": {"schema": asked}}},
            "responses": {"200": ranked, **refusals},
        }
    }


def _error(text: str) -> Json:
    return {"description": text, "content": {"application/json": {"schema": _ref("Error")}}}


def _page(summary: str, media_type: str, refusal: int | None = None) -> Json:
    responses: Json = {"200": {"description": summary, "content": {media_type: {}}}}
    if refusal is not None:
        responses[str(refusal)] = _error(REFUSALS[str(refusal)])
    return {"get": {"summary": summary, "responses": responses}}


def html_page(described: Json) -> str:
    """The document as a page without scripts: each path with its responses and its part of the document."""
    parts = [f"<h1>{html.escape(described['info']['title'])} {described['info']['version']}</h1>"]
    parts.append(
        f"<p>{html.escape(described['info']['description'])} <a href=openapi.json>openapi.json</a></p>"
    )
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            parts.append(
                f"<h2>{method.upper()} {html.escape(path)}</h2><p>{html.escape(operation['summary'])}</p>"
            )
            answers = operation["responses"].items()
            rows = "".join(
                f"<tr><td>{status}<td>{html.escape(said['description'])}" for status, said in answers
            )
            details = html.escape(json.dumps(operation, indent=1))
            parts.append(
                f"<table>{rows}</table><details><summary>OpenAPI</summary><pre>{details}</pre></details>"
            )
    return f"<!doctype html><html lang=en><title>reasonrank</title><body>{''.join(parts)}</body></html>"
