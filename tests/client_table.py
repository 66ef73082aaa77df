"""The clients that are tried against the server: each with its snippet of eval/serving/clients, and what it needs."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

SNIPPETS = Path(__file__).parents[1] / "eval" / "serving" / "clients"
OWN = "own"
"""The environment that runs the tests (the extra `test`)."""
ENVIRONMENTS: Mapping[str, tuple[str, ...]] = {
    OWN: ("cohere",),
    "cohere-5": ("cohere>=5.21,<5.22",),
    "langchain": ("langchain-cohere>=0.6,<0.7",),
    "llamaindex": (
        "llama-index-postprocessor-cohere-rerank>=0.10,<0.11",
        "llama-index-postprocessor-jinaai-rerank>=0.6,<0.7",
        "llama-index-postprocessor-tei-rerank>=0.6,<0.7",
    ),
    "haystack": (
        "cohere-haystack>=11,<12",
        "haystack-ai>=3.4,<4",
        "huggingface-api-haystack>=3.1,<4",
        "jina-haystack>=2,<3",
        "vllm-haystack>=3,<4",
    ),
    "litellm": ("litellm>=1.110,<1.111",),
}
"""What pip installs for each; the clients need two versions of `cohere` between them."""


@dataclass(frozen=True, slots=True)
class Client:
    """`options`: more arguments of the snippet. `quotes`: whether its errors say what the server said."""

    name: str
    snippet: str
    environment: str
    options: Mapping[str, str] = field(default_factory=dict)
    quotes: bool = True

    @property
    def file(self) -> Path:
        return SNIPPETS / f"{self.snippet}.py"


PROVIDERS = ("hosted_vllm", "cohere", "jina_ai", "together_ai", "infinity", "huggingface")
CLIENTS = (
    Client("cohere-7-v2", "cohere_v2", OWN),
    Client("cohere-7-v1", "cohere_v1", OWN),
    Client("cohere-5-v2", "cohere_v2", "cohere-5"),
    Client("cohere-5-v1", "cohere_v1", "cohere-5"),
    Client("langchain-cohere", "langchain_cohere_rerank", "langchain"),
    Client("llamaindex-cohere", "llamaindex_cohere", "llamaindex"),
    Client("llamaindex-jina", "llamaindex_jina", "llamaindex"),
    Client("llamaindex-tei", "llamaindex_tei", "llamaindex", quotes=False),
    Client("haystack-cohere", "haystack_cohere", "haystack"),
    Client("haystack-jina", "haystack_jina", "haystack"),
    Client("haystack-tei", "haystack_tei", "haystack"),
    Client("haystack-vllm", "haystack_vllm", "haystack"),
    *(Client(f"litellm-{name}", "litellm_rerank", "litellm", {"provider": name}) for name in PROVIDERS),
)


def python_of(environment: str) -> Path:
    """The Python of an environment, made where it is not there yet; the tests' own one is never changed."""
    if environment == OWN:
        return Path(sys.executable)
    return built(environment, ENVIRONMENTS[environment])


def built(name: str, wanted: tuple[str, ...], contents: str = "") -> Path:
    """The Python of a virtual environment with what `pip install` is given as `wanted`.

    It is kept, by what is in it (`contents`: of files in `wanted`), in REASONRANK_CLIENT_ENVS or a temporary folder.
    """
    key = hashlib.sha256(repr((sys.version_info[:2], wanted, contents)).encode()).hexdigest()[:12]
    kept = os.environ.get("REASONRANK_CLIENT_ENVS") or Path(
        tempfile.gettempdir(), f"client-envs-{os.getuid()}"
    )
    folder = Path(kept) / f"{name}-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    python, complete = folder / "bin" / "python", folder / "complete"
    with FileLock(f"{folder}.lock"):
        if not complete.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "--quiet", *wanted], check=True)
            complete.touch()
    return python
