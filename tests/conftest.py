from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import tiny
from hypothesis import HealthCheck, settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # a shell's background job; tests send SIGINT to processes
    signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")  # time decides nothing: machines may be slow

VLLM = (
    "test_engine_openai_vllm", "test_end_to_end", "test_nano", "test_engine_vllm_processes", "test_engine_vllm",
    "test_engine_vllm_configuration", "test_constrained_vllm",
)  # fmt: skip
TRAINING = ("test_train", "test_train_from_nothing")
GROUPS = {**dict.fromkeys(VLLM, "vllm"), **dict.fromkeys(TRAINING, "training")}
"""Files that one process runs, because they share what is slow to start; every other file is a group of its own."""
ORDER = (
    *(
        *VLLM,
        *TRAINING,
        "test_reproduce",
        "test_retrieve",
        "test_java",
        "test_java_signals",
        "test_report_browser",
    ),
    *(
        "test_lucene",
        "test_lucene_index",
        "test_dense_encoders",
        "test_demo",
        "test_synthesize",
        "test_rerank_faults",
    ),
)
"""The slowest files, which start first: no process has a long one left when the others are done."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Groups for `-n 2 --dist loadgroup --no-loadscope-reorder`; a single process takes the tests as they come."""
    if not hasattr(config, "workerinput"):
        return
    ranks = {file: rank for rank, file in enumerate(ORDER)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(ranks)))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(GROUPS.get(item.path.stem, item.path.stem)))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real runs, qrels, collections and golden files; tests that need it skip without."""
    folder = Path(os.environ.get("REASONRANK_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "golden").is_dir():
        pytest.skip(f"no shared data at {folder} (set REASONRANK_SHARED)")
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small random-weight Qwen2 and its tokenizer."""
    return tiny.build_model(tmp_path_factory.mktemp("tiny-qwen2"))


@pytest.fixture(scope="session")
def tiny_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small byte-level BPE tokenizer that has a chat template."""
    return tiny.build_tokenizer(tmp_path_factory.mktemp("tiny-tokenizer"))
