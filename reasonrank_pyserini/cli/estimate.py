"""What a reranking will take, before anything is paid for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from ..profiles import Profile
from .rerank_job import Job

SAMPLE = 20
"""Queries whose first window is built to measure prompts."""
ANSWER_TOKENS = 750
"""New tokens a window of ReasonRank-7B, measured by its authors' code on BRIGHT Economics (0.70 M over 927 windows)."""
H200 = {"flops": 0.6 * 790e12, "bandwidth": 0.8 * 4.3e12, "memory": 139e9, "step": 1.5e-3}
"""The share of one H200's arithmetic and memory speed that prefill and decode reach, and the time of a step."""


def estimate(job: Job) -> list[str]:
    """Lines for the user: queries, windows, tokens, and a modelled time where the model's size is known."""
    windows, lengths = job.windows, list(_prompt_lengths(job))
    answers = min(ANSWER_TOKENS, job.plan.settings.sampling.max_tokens)
    lines = [f"queries            {len(job.work.queries)}", f"windows            {windows}"]
    if lengths:
        mean = sum(lengths) / len(lengths)
        lines += [
            f"prompt tokens      {windows * mean:,.0f} ({mean:,.0f} a window, measured on {len(lengths)} windows)",
            f"new tokens         {windows * answers:,} ({answers} a window assumed; at most "
            f"{windows * job.plan.settings.sampling.max_tokens:,})",
        ]
        seconds = modelled_seconds(job.plan.profile, windows, mean, answers)
        if seconds is not None:
            name = job.plan.profile.name
            lines.append(f"time on one H200   {_duration(seconds)} (modelled for {name}, not measured)")
    lines.append(f"context            {job.plan.context} tokens (prompt and answer)")
    return lines


def _prompt_lengths(job: Job) -> Iterator[int]:
    settings = job.plan.settings
    for query, candidates in islice(job.work.load(), SAMPLE):
        documents = [candidate.document for candidate in candidates[: min(settings.window, settings.depth)]]
        if documents:
            built = job.builder.build(query.text, documents, answer_tokens=settings.sampling.max_tokens)
            yield built.tokens


def modelled_seconds(profile: Profile, windows: int, prompt: float, new: float) -> float | None:
    """Seconds that one H200 needs when it is kept full; None when the profile does not say the model's size.

    Prefill costs 2 operations a parameter and token; a decode step reads the weights and the keys and
    values of as many windows as fit in memory, at most 256.
    """
    size = profile.size
    if size.parameters is None or size.weights_bytes is None or size.kv_bytes_per_token is None:
        return None
    cache = size.kv_bytes_per_token * (prompt + new / 2)
    batch = min(256.0, windows, (0.9 * H200["memory"] - size.weights_bytes) / cache)
    if batch < 1:
        return None
    prefill = windows * prompt * 2 * size.parameters / H200["flops"]
    step = (size.weights_bytes + batch * cache) / H200["bandwidth"] + H200["step"]
    return prefill + windows * new / batch * step


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 7200 else f"about {seconds / 3600:.1f} h"
