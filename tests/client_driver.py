"""Runs a snippet of eval/serving/clients in the Python that has its client; needs nothing else.

Reads {"snippet": path, "options": {...}, "calls": [{"url", "token", "query", "documents"}, ...]} and prints one JSON
list: for each call {"ranked": [texts]}, or {"error": "module.Name", "text": what it says}.
"""

from __future__ import annotations

import json
import runpy
import sys
import warnings
from collections.abc import Callable
from typing import Any


def outcome(
    rerank: Callable[..., list[str]], call: dict[str, Any], options: dict[str, Any]
) -> dict[str, Any]:
    try:
        return {"ranked": rerank(**call, **options)}
    except Exception as error:
        kind = type(error)
        return {"error": f"{kind.__module__}.{kind.__qualname__}", "text": str(error)}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    task = json.load(sys.stdin)
    rerank = runpy.run_path(task["snippet"])["rerank"]
    print("\n" + json.dumps([outcome(rerank, call, task["options"]) for call in task["calls"]]))
