from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib import request

import pytest
import small_models
import tiny
from hypothesis import HealthCheck, settings
from vllm_server import VLLMServer, coming_server

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a shell; processes inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")  # time decides nothing: machines may be slow

VLLM = (
    "test_end_to_end", "test_engine_openai_vllm", "test_nano", "test_engine_vllm_processes", "test_engine_vllm",
    "test_engine_vllm_configuration", "test_engine_vllm_ray", "test_engine_vllm_ray_runs",
    "test_constrained_vllm",
)  # fmt: skip
TRAINING = ("test_train", "test_train_from_nothing")
GROUPS = {**dict.fromkeys(VLLM, "vllm"), **dict.fromkeys(TRAINING, "training")}
"""Files that one process runs, because they share what is slow to start; every other file is a group of its own."""
SLOW = (
    *(*VLLM, *TRAINING, "test_reproduce", "test_retrieve", "test_java", "test_java_signals", "test_report_browser"),
    *("test_docs", "test_reproduce_library", "test_lucene", "test_lucene_index", "test_dense_encoders", "test_demo"),
    *("test_reproduce_search", "test_reproduce_real_runs", "test_synthesize", "test_rerank_faults"),
)  # fmt: skip
"""The slowest files, which start first where several processes share the tests: no long one is left for the end."""


@pytest.fixture(autouse=True)
def own_opener(monkeypatch: pytest.MonkeyPatch) -> None:
    """`urlopen` keeps the proxies of its first call for the whole process: each test has its own."""
    monkeypatch.setattr(request, "_opener", None)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # in a process of pytest-xdist
        places = {file: place for place, file in enumerate(SLOW)}
        items.sort(key=lambda item: places.get(item.path.stem, len(places)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hands out whole groups, in their order, for `-n 2`."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = Path(nodeid.partition("::")[0]).stem
            return GROUPS.get(file, file)

    config.option.loadscopereorder = False
    return Groups(config, log)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real runs, qrels, collections and golden files; tests that need it skip without."""
    folder = Path(os.environ.get("REASONRANK_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "golden").is_dir():
        pytest.skip(f"no shared data at {folder} (set REASONRANK_SHARED)")
    return folder


@pytest.fixture(scope="session")
def cacm_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache with CACM's index: the test that comes first builds it, for all processes that run tests."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "cacm-cache"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small random-weight Qwen2 and its tokenizer."""
    return tiny.build_model(tmp_path_factory.mktemp("tiny-qwen2"))


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """After a line's end it says `<think>so</think>[2]` and stops; after an `x` it says `yxyx` for ever."""
    said = ("<think>", "s", "o", "</think>", "[", "2", "]", "<|im_end|>")
    follows = {"Ċ": said[0]} | dict(pairwise(said)) | {"x": "y", "y": "x"}
    return small_models.build_chain(
        tmp_path_factory.mktemp("chain") / "model", follows, added=("<think>", "</think>")
    )


@pytest.fixture(scope="session")
def chain_server(
    chain: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[VLLMServer] | None]:
    """The session's vLLM server of that model, which starts while other tests run; None without vLLM.

    It has a context of 4096 and a reasoning parser, and answers two requests at a time.
    """
    if find_spec("vllm") is None:
        yield None
        return
    log = tmp_path_factory.mktemp("vllm") / "log"
    with coming_server(chain, "--reasoning-parser", "qwen3", "--max-num-seqs", "2", log=log) as coming:
        yield coming


@pytest.fixture(scope="session")
def tiny_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small byte-level BPE tokenizer that has a chat template."""
    return tiny.build_tokenizer(tmp_path_factory.mktemp("tiny-tokenizer"))
