"""Servers that join and leave while calls are under way, by the lines of a servers file."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import http_server as srv
import pytest
from openai_kit import FAST, SAMPLING, no_key, server

from reasonrank_pyserini.engines import Engine, EngineConfig, engine_details, load_engine
from reasonrank_pyserini.engines.openai import http_servers
from reasonrank_pyserini.errors import EngineDiedError, InputError, ServersGoneError
from reasonrank_pyserini.types import Completion, Prompt

__all__ = ["no_key", "server"]  # fixtures

T = TypeVar("T")


@pytest.fixture
def other() -> Iterator[srv.Server]:
    with srv.Server() as running:
        yield running


@pytest.fixture
def listed(tmp_path: Path, server: srv.Server) -> Path:
    path = tmp_path / "servers.txt"
    path.write_text(f"# two jobs\n\n{server.url}\n")
    return path


def run(path: Path, use: Callable[[Engine], Awaitable[T]], **args: object) -> T:
    async def inside() -> T:
        config = EngineConfig("tiny", servers=path, args=FAST | args)
        async with load_engine("openai", config) as engine:
            return await use(engine)

    return asyncio.run(asyncio.wait_for(inside(), 600))


def windows(count: int) -> list[Prompt]:
    return [Prompt(token_ids=(number,) * 10) for number in range(count)]


async def burst(engine: Engine, prompts: Sequence[Prompt]) -> list[Completion]:
    return await asyncio.gather(*(engine.complete(prompt, SAMPLING) for prompt in prompts))


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(400):
        while not true():
            await asyncio.sleep(0.02)


def add(path: Path, line: str) -> None:
    with path.open("a") as stream:
        stream.write(line)


class TestServersFile:
    def test_a_line_that_is_added_joins(self, listed: Path, server: srv.Server, other: srv.Server) -> None:
        async def joins(engine: Engine) -> None:
            await burst(engine, windows(4))
            one = engine.limits.requests
            add(listed, other.url.removesuffix("/v1"))  # a line that is still being written
            await asyncio.sleep(1.5)
            assert engine.limits.requests == one
            add(listed, "\n")
            await until(lambda: engine.limits.requests == 2 * one)
            await burst(engine, windows(20))

        run(listed, joins)
        assert len(server.requests) + len(other.requests) == 4 + 20
        assert len(other.requests) >= 8

    def test_a_line_that_vanishes_drains(self, listed: Path, server: srv.Server, other: srv.Server) -> None:
        """Calls under way at the vanished server finish there; later ones go to the other."""
        left = False

        async def until_left(exchange: srv.Exchange) -> None:
            await until(lambda: left)
            await srv.answer()(exchange)

        async def leaves(engine: Engine) -> None:
            nonlocal left
            under_way = asyncio.create_task(burst(engine, windows(3)))
            await until(lambda: server.in_flight == 3)
            listed.write_text(f"{other.url}\n")
            await until(lambda: len(engine_details(engine)["servers"]) == 2)
            await burst(engine, windows(5))
            assert not under_way.done()
            left = True
            await under_way

        server.always = until_left
        run(listed, leaves)
        posts = [[r for r in one.requests if r.path.endswith("completions")] for one in (server, other)]
        assert [len(found) for found in posts] == [3, 5]

    def test_a_server_that_comes_back_gets_calls_again(self, listed: Path, server: srv.Server) -> None:
        text = listed.read_text()

        async def back(engine: Engine) -> int:
            await burst(engine, windows(2))
            listed.write_text("# none now\n")
            await until(lambda: not engine.servers.addresses())  # type: ignore[attr-defined]
            waiting = asyncio.create_task(burst(engine, windows(3)))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            listed.write_text(text)
            return len(await waiting)

        assert run(listed, back) == 3

    def test_a_server_that_refuses_every_call_is_left_out(
        self, listed: Path, other: srv.Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        other.always = srv.status(401)

        async def joins(engine: Engine) -> int:
            add(listed, f"{other.url}\nhttp://127.0.0.1:9/v1\0\0\n")
            await until(lambda: len(engine.servers.addresses()) == 2)  # type: ignore[attr-defined]
            return len(await burst(engine, windows(20)))

        assert run(listed, joins) == 20
        assert f"{other.url} is left out: HTTP 401" in caplog.text

    def test_a_line_of_a_dead_server_is_left_out_while_another_serves(
        self,
        listed: Path,
        server: srv.Server,
        other: srv.Server,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """It is named once, asked again now and then, and used once it answers."""
        monkeypatch.setattr(http_servers, "QUIET", 0.0)
        other.stop()
        listed.write_text(f"{other.url}\n{server.url}\n")
        attempts = 3

        async def failures(engine: Engine) -> int:
            known = {found["url"]: found["failures"] for found in engine_details(engine)["servers"]}
            return sum(known.get(other.url, {}).values())

        async def outlives(engine: Engine) -> int:
            calls = 0
            while await failures(engine) <= 2 * attempts:
                calls += len(await burst(engine, windows(4)))
            with srv.Server(port=other.port) as back:
                while not back.requests:
                    calls += len(await burst(engine, windows(4)))
                return calls - len(back.requests)

        here = run(listed, outlives, attempts=attempts)
        assert len(server.requests) >= here > 0
        said = [
            record
            for record in caplog.records
            if record.levelname == "WARNING" and other.url in record.message
        ]
        assert len(said) == 1
        assert "no server answers at" in said[0].message

    def test_the_run_ends_when_no_line_serves(
        self, listed: Path, server: srv.Server, other: srv.Server
    ) -> None:
        other.stop()
        listed.write_text(f"{other.url}\n{server.url}\n")

        async def ends(engine: Engine) -> None:
            await burst(engine, windows(4))
            server.stop()
            await burst(engine, windows(4))

        with pytest.raises(ServersGoneError, match=f"no server answers at {server.url}"):
            run(listed, ends)

    def test_a_file_that_never_listed_a_server_is_an_error(self, listed: Path) -> None:
        listed.write_text("")
        with pytest.raises(EngineDiedError) as caught:
            run(listed, lambda engine: burst(engine, windows(1)), max_wait=1)
        assert not isinstance(caught.value, ServersGoneError)

    def test_an_empty_file_is_waited_for_only_so_long(self, listed: Path) -> None:
        async def empties(engine: Engine) -> None:
            await burst(engine, windows(2))
            listed.write_text("")
            await until(lambda: not engine.servers.addresses())  # type: ignore[attr-defined]
            await burst(engine, windows(3))

        with pytest.raises(ServersGoneError, match=r"servers.txt has listed no server for 2 s \(max_wait\)"):
            run(listed, empties, max_wait=2)

    def test_listed_servers_that_are_dead_end_the_run(self, listed: Path, server: srv.Server) -> None:
        async def dies(engine: Engine) -> None:
            await burst(engine, windows(2))
            server.stop()
            await burst(engine, windows(3))

        with pytest.raises(ServersGoneError, match="no server answers at"):
            run(listed, dies, attempts=2)

    def test_a_server_that_never_answered_is_a_wrong_address(self, tmp_path: Path) -> None:
        path = tmp_path / "servers.txt"
        path.write_text("http://127.0.0.1:9/v1\n")
        with pytest.raises(EngineDiedError, match="no server answers at") as caught:
            run(path, lambda engine: burst(engine, windows(1)), attempts=2)
        assert not isinstance(caught.value, ServersGoneError)

    def test_a_bad_line_is_refused_at_the_start_and_left_out_later(
        self, listed: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def bad(engine: Engine) -> None:
            add(listed, "ftp://x\n")
            await until(lambda: "not an http or https address" in caplog.text)
            await burst(engine, windows(2))

        run(listed, bad)
        with pytest.raises(InputError, match="not a regular file"):
            run(listed.parent, bad)
        with pytest.raises(InputError, match=r"servers.txt: base url 'ftp://x' is not an http"):
            run(listed, bad)
        with pytest.raises(InputError, match="cannot be read"):
            run(listed.with_name("none.txt"), bad)
        with pytest.raises(InputError, match="not both"):
            load_engine("openai", EngineConfig("tiny", base_urls=("http://127.0.0.1:1/v1",), servers=listed))
