"""Whose call is next: longest remaining first, callers in turn, no caller left behind, limits never exceeded."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reasonrank_pyserini import Document, Query, Reranker
from reasonrank_pyserini.engines.gate import ThrottledEngine
from reasonrank_pyserini.engines.priority import ENGINE_PRIORITY, TURN, CallPriority, context_value
from reasonrank_pyserini.engines.scripted import ScriptedEngine
from reasonrank_pyserini.types import Completion, Limits, Prompt, Sampling, Verdict

ANSWER = 10
DOCUMENTS = [Document(f"d{i}", f"text {i}") for i in range(100)]


class Held(ScriptedEngine):
    """Answers a call when the test lets it: `waiting` are the calls that were let through and not answered yet."""

    def __init__(self, requests: int, tokens: int | None = None) -> None:
        super().__init__(lambda prompt, sampling: "")
        self.limits = Limits(requests, tokens)
        self.waiting: dict[str, asyncio.Future[None]] = {}
        self.order: list[str] = []
        self.places: dict[str, int] = {}

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        self.order.append(prompt.text)
        self.places[prompt.text] = ENGINE_PRIORITY.get()
        self.waiting[prompt.text] = asyncio.get_running_loop().create_future()
        try:
            await self.waiting[prompt.text]
        finally:
            del self.waiting[prompt.text]
        return Completion("")


@dataclass
class Call:
    """A call as a test asks it; its size with the answer is `size`."""

    caller: int
    rounds: int
    size: int
    name: str = ""
    task: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def ask(self, gated: ThrottledEngine, number: int) -> Call:
        self.name = str(number)
        prompt = Prompt(token_ids=(0,) * (self.size - ANSWER), text=self.name)
        with context_value(TURN, CallPriority(self.caller, self.rounds)):
            self.task = asyncio.ensure_future(gated.complete(prompt, Sampling(max_tokens=ANSWER)))
        return self


async def settled() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


async def served(turns: Sequence[CallPriority]) -> list[int]:
    """The order in which calls get through a gate of one that is busy while they come."""
    engine = Held(1)
    gated = ThrottledEngine(engine)
    calls = [Call(0, 1, 20).ask(gated, -1)]
    await settled()
    calls += [Call(turn.caller, turn.rounds, 20).ask(gated, i) for i, turn in enumerate(turns)]  # type: ignore[arg-type]
    await settled()
    while engine.waiting:
        next(iter(engine.waiting.values())).set_result(None)
        await settled()
    return [int(name) for name in engine.order[1:]]


def test_the_query_with_most_to_go_is_first_and_ties_are_first_come_first_served() -> None:
    rounds = [1, 9, 5, 9, 1, 5]
    expected = sorted(range(6), key=lambda i: -rounds[i])
    assert asyncio.run(served([CallPriority("a", one) for one in rounds])) == expected == [1, 3, 2, 5, 0, 4]


def test_a_lone_call_waits_for_one_of_another_caller() -> None:
    order = asyncio.run(served([*[CallPriority("batch", 9)] * 200, CallPriority("lone", 1)]))
    assert order.index(200) == 1


def test_the_engine_learns_that_a_lone_call_goes_first() -> None:
    async def places() -> dict[str, int]:
        engine = Held(100)
        gated = ThrottledEngine(engine)
        calls = [Call(1, 9, 20).ask(gated, number) for number in range(64)]
        await settled()
        calls += [Call(2, 1, 20).ask(gated, 64), Call(1, 9, 20).ask(gated, 65), Call(1, 8, 20).ask(gated, 66)]
        await settled()
        for call in calls:
            call.task.cancel()
        await asyncio.gather(*(call.task for call in calls), return_exceptions=True)
        return engine.places

    found = asyncio.run(places())
    assert found["64"] < found["65"] < found["66"]  # 1 round against 9, but no calls under way against 64


def test_who_waited_behind_a_cancelled_call_moves_up_at_once() -> None:
    async def let_through() -> list[str]:
        engine = Held(9, 100)
        gated = ThrottledEngine(engine)
        calls = [Call(1, 1, size).ask(gated, number) for number, size in enumerate((60, 60, 30))]
        await settled()
        assert engine.order == ["0"], "the third fits, but does not overtake the second"
        calls[1].task.cancel()
        await settled()
        for call in calls:
            call.task.cancel()
        await asyncio.gather(*(call.task for call in calls), return_exceptions=True)
        return engine.order

    assert asyncio.run(let_through()) == ["0", "2"]


asked = st.tuples(st.integers(0, 2), st.integers(1, 9), st.integers(ANSWER + 1, 60))
events = st.lists(
    st.tuples(st.sampled_from(["ask", "ask", "end", "cancel"]), asked, st.integers(0, 99)), max_size=60
)


@settings(deadline=None, max_examples=80)
@given(events, st.integers(1, 4), st.none() | st.integers(30, 150), st.integers(0, 5))
def test_whatever_happens_the_rules_hold(
    happens: list[Any], requests: int, tokens: int | None, patience: int
) -> None:
    asyncio.run(play(happens, requests, tokens, patience))


async def play(happens: list[Any], requests: int, tokens: int | None, patience: int) -> None:
    engine = Held(requests, tokens)
    gated = ThrottledEngine(engine, patience=patience)
    calls: list[Call] = []

    def waiting() -> list[Call]:
        return [call for call in calls if not call.task.done() and call.name not in engine.order]

    async def step() -> None:
        await settled()
        under_way = [calls[int(name)].size for name in engine.waiting]
        assert len(under_way) <= requests
        assert tokens is None or sum(under_way) <= tokens or len(under_way) == 1
        too_large = [c for c in waiting() if tokens is not None and sum(under_way) + c.size > tokens]
        full = len(under_way) == requests or (too_large and under_way)
        assert full or not waiting(), "there is room and somebody waits"

    for kind, call, number in happens:
        if kind == "ask":
            calls.append(Call(*call).ask(gated, len(calls)))
        elif kind == "end" and engine.waiting:
            list(engine.waiting.values())[number % len(engine.waiting)].set_result(None)
        elif kind == "cancel" and calls:
            calls[number % len(calls)].task.cancel()
        await step()
    while engine.waiting:
        next(iter(engine.waiting.values())).set_result(None)
        await step()
    assert not waiting(), "a call is left behind"
    check_overtaking([calls[int(name)] for name in engine.order], patience)
    await asyncio.gather(*(call.task for call in calls), return_exceptions=True)


def check_overtaking(order: list[Call], patience: int) -> None:
    for place, late in enumerate(order):
        for early in order[place + 1 :]:
            if early.caller == late.caller and int(late.name) > int(early.name):
                passed = int(late.name) - int(early.name)
                assert passed < patience * (late.rounds - early.rounds)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9)), max_size=40))
def test_between_two_calls_of_one_caller_every_other_that_waits_gets_one(
    turns: list[tuple[int, int]],
) -> None:
    order = asyncio.run(served([CallPriority(*turn) for turn in turns]))
    assert sorted(order) == list(range(len(turns)))
    left = [turns[number][0] for number in order]
    while left:
        first, *rest = left
        until = rest.index(first) if first in rest else len(rest)
        assert set(rest[:until]) == (set(rest) - {first} if first in rest else set(rest))
        left = rest


class Asking:
    """A judge that asks the engine and tells when a query's call is on its way to it."""

    def __init__(self, engine: ThrottledEngine) -> None:
        self.engine = engine
        self.turns: list[tuple[str, CallPriority]] = []
        self.coming = {"batch": threading.Event(), "lone": threading.Event()}

    async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
        self.turns.append((query.id, TURN.get()))
        self.coming[query.text].set()
        await self.engine.complete(Prompt(text=query.id), Sampling())
        return Verdict(tuple(range(len(documents))))


def test_a_thread_with_one_query_does_not_wait_for_another_threads_queue() -> None:
    open_ = threading.Event()

    class Opened(Held):
        async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
            self.order.append(prompt.text)
            while not open_.is_set():
                await asyncio.sleep(0.001)
            return Completion("")

    engine = Opened(1)
    judge = Asking(ThrottledEngine(engine))
    batch = ((Query(f"b{number}", "batch"), DOCUMENTS) for number in range(20))
    with Reranker(judge, engine=judge.engine) as reranker:
        reading = threading.Thread(target=lambda: list(reranker.rerank_many(batch)))
        reading.start()
        assert judge.coming["batch"].wait(600)
        lone = reranker.submit(Query("lone", "lone"), DOCUMENTS[:20])
        assert judge.coming["lone"].wait(600)
        before = len(engine.order)
        open_.set()
        lone.result(600)
        reading.join()
    assert engine.order.index("lone") <= before + 1
    assert len(engine.order) == 20 * 9 + 1


def test_the_gate_hears_how_far_a_query_has_to_go() -> None:
    judge = Asking(ThrottledEngine(ScriptedEngine(lambda prompt, sampling: "")))
    with Reranker(judge, engine=judge.engine) as reranker:
        reranker.rerank(Query("a", "lone"), DOCUMENTS)
        reranker.rerank(Query("b", "lone"), DOCUMENTS[:30])
        list(reranker.rerank_many([(Query("c", "batch"), DOCUMENTS[:20])]))
    rounds = [(name, turn.rounds) for name, turn in judge.turns]
    assert rounds == [*[("a", left) for left in range(9, 0, -1)], ("b", 2), ("b", 1), ("c", 1)]
    callers = {name: turn.caller for name, turn in judge.turns}
    assert callers["a"] == callers["b"] != callers["c"]
