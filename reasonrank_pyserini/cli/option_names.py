"""Settings as the library calls them, and the options that the command line has for them."""

from __future__ import annotations

import re

OPTIONS = {
    "api": "--api",
    "answer_k": "--answer-k",
    "base_urls": "--base-url",
    "compat": "--compat",
    "constrained": "--constrained",
    "corpus": "--corpus",
    "dataset": "--dataset",
    "deadline": "--deadline",
    "depth": "--depth",
    "encoder": "--encoder",
    "encoder_class": "--encoder-class",
    "engine": "--engine",
    "engine_args": "--engine-arg",
    "excluded": "--excluded",
    "fuse": "--fuse",
    "gpus": "--gpus",
    "index": "--index",
    "judge": "--judge",
    "limit": "--limit",
    "max_failed": "--max-failed",
    "method": "--method",
    "model": "--model",
    "output": "-o",
    "overwrite": "--overwrite",
    "passage_tokens": "--passage-tokens",
    "profile": "--profile",
    "qrels": "--qrels",
    "qrels_kind": "--qrels-kind",
    "query_ids": "--query-ids",
    "query_variant": "--query-variant",
    "reasoning_tokens": "--reasoning-tokens",
    "replay": "--replay",
    "requests": "--requests",
    "revision": "--revision",
    "run": "--run",
    "seed": "--seed",
    "step": "--step",
    "threads": "--threads",
    "tokenizer": "--tokenizer",
    "topics": "--topics",
    "weights": "--weights",
    "window": "--window",
}
"""Option by setting; the library's messages put settings between backticks."""

_SETTING = re.compile(r"`([a-z_0-9]+)`")


def with_options(message: str) -> str:
    """A message of the library with its settings as options: "lower `reasoning_tokens`" becomes "lower
    --reasoning-tokens"; what is no setting stays."""
    return _SETTING.sub(lambda found: OPTIONS.get(found[1], found[0]), message)
