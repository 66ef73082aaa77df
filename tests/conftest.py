from __future__ import annotations

import os
from pathlib import Path

import pytest
import tiny
from hypothesis import HealthCheck, settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")  # time decides nothing: machines may be slow


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
