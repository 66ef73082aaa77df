"""Contract checks for your own first stages, engines, their servers, and strategies."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence

from .engines import Engine
from .engines.servers import Servers
from .errors import InputError
from .first_stages.base import FirstStage
from .strategies import RankingStrategy
from .types import Prompt, Query, Sampling, Verdict

_EMPTY = (Query("contract-empty", ""), Query("contract-blank", " \t"))


def check_first_stage(stage: FirstStage, queries: Sequence[Query], k: int = 10) -> None:
    """Raise AssertionError, naming the violation, unless `stage` keeps its contract on `queries`.

    One list per query in their order, at most k, no docid twice, finite float scores that never rise; a
    longer list begins with the shorter one, query order changes nothing, empty queries give empty lists.
    """
    asked = [_EMPTY[0], *queries, _EMPTY[1]]
    answers = stage.candidates(asked, k)
    _holds(len(answers) == len(asked), f"{len(answers)} lists for {len(asked)} queries")
    _holds(not answers[0] and not answers[-1], "an empty query was given candidates")
    for query, hits in zip(asked, answers, strict=True):
        ids = [hit.id for hit in hits]
        scores = [hit.score for hit in hits]
        _holds(len(hits) <= k, f"query {query.id}: {len(hits)} candidates for k = {k}")
        _holds(len(set(ids)) == len(ids), f"query {query.id}: a docid twice")
        _holds(all(type(docid) is str for docid in ids), f"query {query.id}: a docid that is not a str")
        _holds(
            all(type(score) is float for score in scores), f"query {query.id}: a score that is not a float"
        )
        _holds(all(map(math.isfinite, scores)), f"query {query.id}: a score that is not finite")
        _holds(scores == sorted(scores, reverse=True), f"query {query.id}: scores rise")
    again = stage.candidates(asked[::-1], k)[::-1]
    _holds(
        [_ids(hits) for hits in again] == [_ids(hits) for hits in answers], "query order changed the lists"
    )
    first = [_ids(hits)[:1] for hits in answers]
    _holds([_ids(hits) for hits in stage.candidates(asked, 1)] == first, "k = 1 is not the head of the list")
    _holds(stage.candidates([], k) == [], "no queries were given lists")
    _refuses_zero(stage, asked)


async def check_engine(engine: Engine, prompt: Prompt, sampling: Sampling) -> None:
    """Raise AssertionError, naming the violation, unless `engine` keeps the Engine contract on `prompt`.

    Calls run concurrently, a cancelled one does not disturb the others, identity is JSON and constant, token
    counts stay within the budget.
    """
    async with engine:
        _holds(engine.limits.requests >= 1, "limits allow no request")
        before = json.dumps(dict(engine.identity), sort_keys=True)
        calls = [asyncio.ensure_future(engine.complete(prompt, sampling)) for _ in range(4)]
        await asyncio.sleep(0)
        calls[0].cancel()
        done = await asyncio.gather(*calls, return_exceptions=True)
        for answer in done[1:]:
            if isinstance(answer, BaseException):
                raise AssertionError("a cancelled call broke another one") from answer
            _holds(answer.finish_reason in ("stop", "length"), f"finish reason {answer.finish_reason!r}")
            _holds(answer.completion_tokens <= sampling.max_tokens, "more tokens than the budget")
            _holds(not answer.cached, "a fresh completion is marked as cached")
        _holds(json.dumps(dict(engine.identity), sort_keys=True) == before, "identity changed")


class _Counting:
    """A watcher of servers that counts its calls."""

    def __init__(self) -> None:
        self.changes = 0

    def changed(self) -> None:
        self.changes += 1

    def answers(self, url: str) -> int:
        return 0


async def check_servers(servers: Servers) -> None:
    """Raise AssertionError, naming the violation, unless `servers` keep the Servers contract from start to stop.

    After the start there is an address, or one may still come; addresses are different base URLs; after the stop a
    second one does nothing.
    """
    try:
        await servers.start(_Counting())
        urls, why = list(servers.addresses()), servers.ended()
        _holds(bool(urls) or why is None, "no address after the start, and none may come")
        _holds(len(set(urls)) == len(urls), "an address twice")
        _holds(all(url.startswith(("http://", "https://")) for url in urls), "an address is not a base URL")
        _holds(why is None or why.strip() != "", "no reason why no further address will come")
    finally:
        await servers.stop()
    await servers.stop()


def check_strategy(strategy: RankingStrategy, sizes: Sequence[int] = (0, 1, 2, 3, 19, 20, 21, 100)) -> None:
    """Raise AssertionError unless `strategy` ends in a permutation, shows existing candidates and keeps to its cost."""
    for n in sizes:
        flow, calls, shown, rounds = strategy.rank(n), 0, 0, 0
        try:
            windows = next(flow)
            while True:
                for window in windows:
                    _holds(len(set(window)) == len(window), f"n = {n}: a candidate twice in a window")
                    _holds(all(0 <= index < n for index in window), f"n = {n}: no such candidate")
                calls, shown, rounds = calls + len(windows), shown + sum(map(len, windows)), rounds + 1
                windows = flow.send([Verdict(tuple(reversed(range(len(window))))) for window in windows])
        except StopIteration as end:
            order = end.value
        _holds(sorted(order) == list(range(n)), f"n = {n}: the final order is not a permutation")
        _holds(calls <= strategy.calls(n), f"n = {n}: {calls} calls, {strategy.calls(n)} announced")
        _holds(rounds <= strategy.rounds(n), f"n = {n}: {rounds} rounds, {strategy.rounds(n)} announced")
        _holds(shown <= strategy.passages(n), f"n = {n}: {shown} passages, {strategy.passages(n)} announced")


def _refuses_zero(stage: FirstStage, queries: Sequence[Query]) -> None:
    try:
        stage.candidates(queries, 0)
    except InputError:
        return
    raise AssertionError("k = 0 was not refused with InputError")


def _ids(hits: Sequence[object]) -> list[str]:
    return [str(getattr(hit, "id", "")) for hit in hits]


def _holds(condition: bool, problem: str) -> None:
    if not condition:
        raise AssertionError(problem)
