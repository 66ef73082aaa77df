"""Settings as the library calls them, and the options that the command line has for them."""

from __future__ import annotations

import re

OPTIONS = {
    "against": "--against",
    "answer_k": "--answer-k",
    "api": "--api",
    "base_urls": "--base-url",
    "compat": "--compat",
    "condition": "--condition",
    "constrained": "--constrained",
    "corpus": "--corpus",
    "dataset": "--dataset",
    "deadline": "--deadline",
    "depth": "--depth",
    "domain": "--domain",
    "encoder": "--encoder",
    "encoder_class": "--encoder-class",
    "engine": "--engine",
    "engine_args": "--engine-arg",
    "excluded": "--excluded",
    "first_stage": "--first-stage",
    "fuse": "--fuse",
    "gpus": "--gpus",
    "index": "--index",
    "judge": "--judge",
    "limit": "--limit",
    "max_failed": "--max-failed",
    "max_tokens": "--max-tokens",
    "merge": "--merge",
    "method": "--method",
    "model": "--model",
    "on_error": "--on-error",
    "oracle": "--judge oracle",
    "output": "-o",
    "overwrite": "--overwrite",
    "passage_tokens": "--passage-tokens",
    "port": "--port",
    "price_in": "--price-in",
    "price_out": "--price-out",
    "profile": "--profile",
    "qrels": "--qrels",
    "qrels_kind": "--qrels-kind",
    "query_ids": "--query-ids",
    "query_variant": "--query-variant",
    "reasoning_tokens": "--reasoning-tokens",
    "repeat": "--repeat",
    "replay": "--replay",
    "requests": "--requests",
    "resume": "--resume",
    "revision": "--revision",
    "run": "--run",
    "run_queries": "--run-queries",
    "runs": "--runs",
    "seed": "--seed",
    "shard": "--shard",
    "sources": "--sources",
    "step": "--step",
    "tasks": "--tasks",
    "threads": "--threads",
    "to": "--to",
    "tokenizer": "--tokenizer",
    "topics": "--topics",
    "vllm": "--vllm",
    "weights": "--weights",
    "window": "--window",
}
"""Option by setting; the library's messages put settings between backticks."""

_SETTING = re.compile(r"`([a-z_0-9]+)`")


def with_options(message: str) -> str:
    """A message of the library with its settings as options: "lower `reasoning_tokens`" becomes "lower
    --reasoning-tokens"; other words stay."""
    return _SETTING.sub(lambda found: OPTIONS.get(found[1], found[0]), message)
