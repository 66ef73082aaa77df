"""vLLM servers in a Ray cluster of this machine: places, late and lost ones, refusals; small programs serve."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest
from fake_vllm_server import FakeVLLM
from ray_cluster import RayCluster
from ray_kit import KEY, NEEDS_RAY, Engine, actor_of, asked, cluster, expected, fake, ray_child_of, token
from vllm_kit import gone

from reasonrank_pyserini.engines import EngineConfig, load_engine
from reasonrank_pyserini.engines.vllm.ray_servers import Wish
from reasonrank_pyserini.errors import EngineError, InputError, ServersGoneError

__all__ = ["cluster", "fake", "token"]  # fixtures

pytestmark = NEEDS_RAY


def refused(fake: FakeVLLM, address: str, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        asyncio.run(Engine(fake, address, Wish(replicas=1)).engine.__aenter__())
    assert "\n" not in str(caught.value)


def test_an_address_without_a_cluster(fake: FakeVLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """This one comes before the cluster is there: `auto` finds every cluster of the machine."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if any(process.info["name"] == "gcs_server" for process in psutil.process_iter(["name"])):
        pytest.skip("a Ray cluster is running on this machine")
    refused(fake, "auto", "type `ray start --head`")
    with pytest.raises(InputError, match="'ray://a:10001' cannot be used"):
        load_engine("vllm", EngineConfig("m", ray="ray://a:10001", vllm_python=str(fake.python)))


def test_two_servers_share_the_work_and_all_ends(cluster: RayCluster, fake: FakeVLLM, tmp_path: Path) -> None:
    async def work() -> None:
        run = Engine(fake, cluster.address, Wish(replicas=2), tmp_path / "logs")
        async with run.engine:
            await run.until(lambda: len(run.servers.addresses()) == 2)
            fake.on("hold")
            calls = run.ask(20)
            await run.until(lambda: len(fake.events("asked")) == 20)
            fake.off("hold")
            answers = await asyncio.gather(*calls)
            assert [answer.text for answer in answers] == expected(20)
            assert {event["server"] for event in fake.events("asked")} == {1, 2}
            assert set(run.servers.details["ray"]["nodes"]) == set(run.servers.addresses())
            actors = [actor_of(pid).pid for pid in fake.pids()]
            assert sorted(actors) == sorted(process.pid for process in cluster.actors())
            servers = [psutil.Process(pid) for pid in fake.pids()]
            assert not any("OMP_NUM_THREADS" in process.environ() for process in servers)
            assert os.getuid() or {process.nice() for process in servers} == {0}
        assert gone([*fake.pids(), *actors])

    asyncio.run(work())
    assert "ray" not in sys.modules  # its signal handlers and its prints stay out of this process
    assert KEY not in cluster.written()
    assert not any(KEY in path.read_text() for path in (tmp_path / "logs").iterdir())


def test_a_killed_actor_loses_no_call(cluster: RayCluster, fake: FakeVLLM) -> None:
    async def work() -> None:
        run = Engine(fake, cluster.address, Wish(replicas=2))
        async with run.engine:
            await run.until(lambda: len(run.servers.addresses()) == 2)
            fake.on("hold")
            calls = run.ask(8)
            await run.until(lambda: len(asked(fake)) == 8)
            first = fake.pids()[0]
            lost = {event["body"]["prompt"][0] for event in fake.events("asked", server=1)}
            actor_of(first).kill()
            await run.until(lambda: len(asked(fake)) == 8 + len(lost))
            assert gone([first])
            fake.off("hold")
            answers = await asyncio.gather(*calls)
            assert [answer.text for answer in answers] == expected(8)
            assert sorted(asked(fake)) == sorted([*range(8), *lost])
            await run.until(lambda: len(run.servers.addresses()) == 2)
            assert run.servers.restarts == 1
        assert gone(fake.pids())

    asyncio.run(work())


def test_a_late_replica_and_a_lost_node(cluster: RayCluster, fake: FakeVLLM) -> None:
    async def work() -> None:
        run = Engine(fake, cluster.address, Wish(replicas=3))
        async with run.engine:
            await run.until(lambda: len(run.servers.addresses()) == 2)
            node = await asyncio.to_thread(cluster.node, 1)
            joined = time.monotonic()
            await run.until(lambda: len(run.servers.addresses()) == 3)
            print(f"late replica: {time.monotonic() - joined:.2f} s after its node")
            fake.on("hold")
            calls = run.ask(9)
            await run.until(lambda: len(asked(fake)) == 9)
            assert fake.events("asked", server=3)
            group = os.getpgid(fake.pids()[2])
            os.killpg(group, signal.SIGSTOP)  # as without power, no connection ends
            cluster.kill(node)
            killed = time.monotonic()
            await run.until(lambda: len(run.servers.addresses()) == 2)
            print(f"address dropped: {time.monotonic() - killed:.2f} s after its node")
            fake.off("hold")
            answers = await asyncio.gather(*calls)
            assert [answer.text for answer in answers] == expected(9)
            os.killpg(group, signal.SIGCONT)
        assert gone(fake.pids())

    asyncio.run(work())


def test_a_server_that_dies_is_started_again(
    cluster: RayCluster, fake: FakeVLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        run = Engine(fake, "auto", Wish())
        async with run.engine:
            assert await asyncio.gather(*run.ask(1))
            os.kill(fake.pids()[0], signal.SIGKILL)
            await run.until(lambda: len(fake.events("ready")) == 2)
            assert (await asyncio.gather(*run.ask(1, 1)))[0].text == expected(2)[1]
            fake.on("broken", "RuntimeError: CUDA error: an illegal memory access was encountered")
            os.kill(fake.pids()[1], signal.SIGKILL)
            with pytest.raises(ServersGoneError, match="illegal memory access"):
                await asyncio.gather(*run.ask(1, 2))

    asyncio.run(work())


def test_without_the_cluster_the_calls_end(cluster: RayCluster, fake: FakeVLLM) -> None:
    async def work() -> None:
        fake.on("deaf")
        run = Engine(fake, cluster.address, Wish(replicas=2))
        async with run.engine:
            assert await asyncio.gather(*run.ask(1))
            fake.on("hold")
            calls = run.ask(2, 1)
            await run.until(lambda: len(asked(fake)) == 3)
            ray_child_of(os.getpid()).kill()
            for call in calls:
                with pytest.raises(ServersGoneError, match="Ray cluster"):
                    await call
            assert gone(fake.pids())

    asyncio.run(work())


def test_a_cluster_without_room(cluster: RayCluster, fake: FakeVLLM) -> None:
    async def work() -> None:
        blocker = Engine(fake, cluster.address, Wish(replicas=2))
        async with blocker.engine:
            await blocker.until(lambda: len(fake.events("ready")) == 2)
            run = Engine(fake, cluster.address, Wish(replicas=1, patience=1.0))
            with pytest.raises(EngineError, match="no room for a server for 1 s"):
                await run.engine.__aenter__()

    asyncio.run(work())


def test_a_start_that_is_interrupted_leaves_nothing(cluster: RayCluster, fake: FakeVLLM) -> None:
    async def work() -> None:
        fake.on("unready")
        fake.on("deaf")
        run = Engine(fake, cluster.address, Wish(replicas=3))
        starting = asyncio.create_task(run.engine.__aenter__())
        await run.until(lambda: len(fake.pids()) == 2)
        starting.cancel()
        begun = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await starting
        print(f"stopped in {time.monotonic() - begun:.1f} s")
        assert gone(fake.pids())

    asyncio.run(work())


def test_a_setting_that_vllm_refuses(cluster: RayCluster, fake: FakeVLLM) -> None:
    fake.on("broken", "ValueError: max_model_len is too large")
    refused(fake, cluster.address, "max_model_len is too large")


def test_a_cluster_without_its_token(
    cluster: RayCluster, fake: FakeVLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    refused(fake, cluster.address, "needs RAY_AUTH_MODE=token")


def test_an_address_of_nothing(cluster: RayCluster, fake: FakeVLLM) -> None:
    refused(fake, "127.0.0.1:9", "cannot be used from this machine")


def test_ray_gives_each_server_its_gpus(cluster: RayCluster, fake: FakeVLLM) -> None:
    """The node says that it has GPUs; the servers of these tests need none."""

    async def work() -> None:
        node = await asyncio.to_thread(cluster.node, 3, gpus=5)
        try:
            run = Engine(fake, cluster.address, Wish(), gpus=2)
            async with run.engine:
                await run.until(lambda: len(run.servers.addresses()) == 2)
                visible = [psutil.Process(pid).environ()["CUDA_VISIBLE_DEVICES"] for pid in fake.pids()]
                cards = [card for group in visible for card in group.split(",")]
                assert (len(visible), len(cards), len(set(cards))) == (2, 4, 4)
        finally:
            cluster.kill(node)
        with pytest.raises(InputError, match="has the 6 GPUs of one server"):
            await Engine(fake, cluster.address, Wish(), gpus=6).engine.__aenter__()

    asyncio.run(work())
