"""`reasonrank serve` when its engine is killed under load, and when callers leave.

    python eval/bench/serve_faults.py [--callers 8] [--rounds 20] [--json FILE]

The engine is a server on loopback that answers after a tenth of a second. **Killed**: while callers send one request
after the other it is stopped (connections are reset, the port refuses), stays away for `--away` seconds and comes back
at the same port. What callers saw is counted by status and text, with the longest time
to an answer, and how long after its return the first success came. **Left**: in each round callers send requests that
the engine does not answer, and close their connections; the time until the engine has no call any more, at most.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import httpx  # noqa: E402
from http_server import Server, hang  # noqa: E402 (the tests' own server)
from ratios import write_figures  # noqa: E402
from serve_kit import ServeCommand, serve_command  # noqa: E402

BODY = {"query": "why do moths circle lamps", "documents": [f"moth {number}" for number in range(20)]}
DELAY = 0.1


@dataclass
class Seen:
    """What callers saw: answers by status and error text, the longest wait for one, and when successes came."""

    answers: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0
    successes: list[float] = field(default_factory=list)


def told(reply: httpx.Response) -> str:
    """An answer's status, with the error's text or whether the order is the one at the deadline."""
    body = reply.json()
    if reply.status_code != 200:
        return f"{reply.status_code} {body['message']}"
    return "200, cut short" if body["meta"]["cut_short"] else "200"


async def keep_asking(client: httpx.AsyncClient, seen: Seen, ended: Callable[[], bool]) -> None:
    while not ended():
        begin = time.monotonic()
        try:
            reply = await client.post("/v2/rerank", json=BODY)
            said = told(reply)
        except httpx.HTTPError as error:
            said = f"no answer: {type(error).__name__}"
        if said == "200":
            seen.successes.append(time.monotonic())
        else:
            await asyncio.sleep(DELAY)  # nobody asks a failing server without a pause
        seen.answers[said] += 1
        seen.longest = max(seen.longest, time.monotonic() - begin)


async def killed(
    command: ServeCommand, engine: Server, callers: int, away: float
) -> tuple[Seen, float, list[int]]:
    """What was seen, seconds from the engine's return to the first success, and what /ready said in between."""
    seen, back = Seen(), 0.0
    ready = []
    async with httpx.AsyncClient(base_url=command.url, timeout=300) as client:
        work = [
            asyncio.create_task(keep_asking(client, seen, lambda: bool(back and seen.successes[-1] > back)))
            for _ in range(callers)
        ]
        while len(seen.successes) < 3 * callers:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(engine.stop)
        for _ in range(10):
            await asyncio.sleep(away / 10)
            ready.append((await client.get("/ready")).status_code)
        with Server(delay=DELAY, port=engine.port):
            back = time.monotonic()
            await asyncio.gather(*work)
            return seen, min(moment for moment in seen.successes if moment > back) - back, ready


async def left(command: ServeCommand, engine: Server, callers: int, rounds: int) -> list[float]:
    """Seconds from the moment at which all connections were closed until the engine had no call, by round."""
    engine.always = hang()
    took = []
    for _ in range(rounds):
        async with httpx.AsyncClient(base_url=command.url, timeout=300) as client:
            work = [asyncio.create_task(client.post("/v2/rerank", json=BODY)) for _ in range(callers)]
            while engine.in_flight < callers:
                await asyncio.sleep(0.005)
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
        begin = time.monotonic()
        while engine.in_flight:
            await asyncio.sleep(0.001)
        took.append(time.monotonic() - begin)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--away", type=float, default=5.0, help="seconds that the engine stays away")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with Server(delay=DELAY) as engine:
        options = ("--model", "nano", "--engine", "openai", "--base-url", engine.url, "--api", "chat")
        with serve_command(*options) as command:
            gone = asyncio.run(left(command, engine, given.callers, given.rounds))
        engine.always = None
        with serve_command(*options) as command:
            seen, recovered, ready = asyncio.run(killed(command, engine, given.callers, given.away))
    print(f"callers left, {given.rounds} times {given.callers}: no call after {max(gone):.3f} s at most")
    print(
        f"engine killed for {given.away:g} s: longest answer {seen.longest:.1f} s, "
        f"first success {recovered:.1f} s after its return, /ready {ready}"
    )
    for said, count in seen.answers.most_common():
        print(f"  {count:5} {said}")
    figures = {
        "left": gone,
        "answers": dict(seen.answers),
        "longest": seen.longest,
        "recovered": recovered,
        "ready": ready,
    }
    write_figures(given.json, figures)


if __name__ == "__main__":
    main()
