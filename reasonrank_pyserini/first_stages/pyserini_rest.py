"""A first stage behind Pyserini's REST server (Pyserini 2.1 or newer): candidates with their texts, over HTTP."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ..errors import InputError, one_line
from ..files.web_environment import proxy_for
from ..types import Query, ScoredDocument
from .base import Excluded, check_k, unique

if TYPE_CHECKING:
    import httpx

KEY_VARIABLE = "PYSERINI_API_KEY"
TIMEOUT = 120.0
"""Seconds for an answer: the first search of an index opens it, and may download it."""
TRIES = 5
"""Of a query that the server refuses because it is busy (429, 503)."""


class PyseriniRest:
    """The index of a REST server as a FirstStage, `threads` queries at a time.

    `url`: the index's address, such as http://127.0.0.1:8081/v1/msmarco-v1-passage. The server's key comes from the
    environment (PYSERINI_API_KEY). InputError, in one line, for everything that the server does not answer.
    """

    def __init__(self, url: str, *, threads: int = 8) -> None:
        if not re.fullmatch(r"https?://[^\s/?#]+/v1/[^\s?#]+", url):
            raise InputError(
                f"`first_stage_url` {url!r} is not the address of an index, such as "
                "http://127.0.0.1:8081/v1/msmarco-v1-passage"
            )
        self.url, self.threads = url.rstrip("/").removesuffix("/search"), threads

    def candidates(self, queries: Sequence[Query], k: int) -> list[list[ScoredDocument]]:
        """Docids and scores alone, as a FirstStage gives them."""
        return [
            unique(ScoredDocument(item["docid"], item["score"]) for item in found)
            for found in self._search(queries, [k] * len(queries))
        ]

    def requests(
        self, queries: Sequence[Query], k: int, excluded: Excluded | None = None
    ) -> list[tuple[Query, list[dict[str, Any]]]]:
        """Each query with its first `k` candidates, excluded ones left out: {"docid", "score", "doc"}, as RankLLM has
        them."""
        unwanted = [excluded(query.id) if excluded is not None else frozenset() for query in queries]
        found = self._search(queries, [k + len(ids) for ids in unwanted])
        return [
            (query, [item for item in items if item["docid"] not in ids][:k])
            for query, items, ids in zip(queries, found, unwanted, strict=True)
        ]

    def _search(self, queries: Sequence[Query], counts: Sequence[int]) -> list[list[dict[str, Any]]]:
        import httpx

        for k in counts:
            check_k(k)
        key, proxy = os.environ.get(KEY_VARIABLE), proxy_for(self.url)
        with (
            httpx.Client(
                headers={"X-API-Key": key} if key else None, timeout=TIMEOUT, follow_redirects=True,
                proxy=proxy.full_address if proxy else None, trust_env=False,
            ) as client,
            ThreadPoolExecutor(self.threads) as pool,
        ):  # fmt: skip
            return list(pool.map(lambda query, k: self._one(client, query, k), queries, counts))

    def _one(self, client: httpx.Client, query: Query, k: int) -> list[dict[str, Any]]:
        if not query.text.strip():
            return []
        asked = {"query": query.text, "hits": str(k), "parse": "false"}
        for attempt in range(1, TRIES + 1):
            answer = self._get(client, asked)
            if answer.status_code not in (429, 503) or attempt == TRIES:
                break
            time.sleep(_pause(answer.headers.get("retry-after", ""), attempt))
        if answer.status_code != 200:
            raise InputError(f"{self.url}: {_refusal(answer)} (query {query.id})")
        return self._candidates(answer)

    def _get(self, client: httpx.Client, asked: dict[str, str]) -> httpx.Response:
        import httpx

        try:
            return client.get(f"{self.url}/search", params=asked)
        except httpx.HTTPError as error:
            raise InputError(
                f"{self.url}: no answer ({one_line(error)}): is `python -m pyserini.server.rest` running there?"
            ) from error

    def _candidates(self, answer: httpx.Response) -> list[dict[str, Any]]:
        try:
            return [
                {"docid": str(item["docid"]), "score": float(item["score"]), "doc": item.get("doc")}
                for item in answer.json()["candidates"]
            ]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{self.url}: the answer is not that of Pyserini's REST server: {one_line(answer.text, 80)}"
            ) from error


def _refusal(answer: httpx.Response) -> str:
    """Why the server refused, in its own words where it has some, and what to do."""
    try:
        said = one_line(str(answer.json()["error"]))
    except (ValueError, KeyError, TypeError):
        said = one_line(answer.text, 80) or "no text"
    advice = {
        401: f": put its key into the environment as {KEY_VARIABLE}",
        404: ": this address is served by Pyserini 2.1 and newer",
    }
    return f"the server answered {answer.status_code}, {said}{advice.get(answer.status_code, '')}"


def _pause(retry_after: str, attempt: int) -> float:
    """Seconds before the next try: what the server asks for, at most a minute, else 1, 2, 4, ..."""
    return min(60.0, float(retry_after) if retry_after.isdecimal() else 2.0 ** (attempt - 1))
