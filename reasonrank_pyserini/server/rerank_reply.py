"""A ranking as the reply that a client expects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import __version__
from ..jobs.run_folder import split_reasoning
from ..prompts.texts import replace_lone_surrogates
from ..types import ParseStatus, Ranking, Step
from .rerank_call import RerankCall, Shape

API_VERSIONS = {Shape.COHERE: "2", Shape.JINA: "1"}


def reply(call: RerankCall, ranking: Ranking, *, id: str, model: str, reasoning_characters: int) -> Any:
    """The reply's JSON value: TEI's list of all texts, or the object that clients of Cohere and Jina read.

    The document at place p of n, from 0, has the score (n - p) / n: a rank, not a probability.
    """
    order = [int(docid) for docid in ranking.ids]
    scores = [(len(order) - place) / len(order) for place in range(len(order))]
    if call.shape is Shape.TEI:
        return [
            {"index": index, "score": score, **(call.returned[index] if call.returned else {})}
            for index, score in zip(order, scores, strict=True)
        ]
    results = [
        {
            "index": index,
            "relevance_score": score,
            **({"document": call.returned[index]} if call.returned else {}),
        }
        for index, score in zip(order[: call.top_n], scores, strict=False)
    ]
    tokens = Tokens.of(ranking)
    return {
        "id": id,
        "model": model,
        "usage": {"prompt_tokens": tokens.read, "total_tokens": tokens.read + tokens.written},
        "results": results,
        "meta": {
            "api_version": {"version": API_VERSIONS[call.shape]},
            "tokens": {"input_tokens": tokens.read, "output_tokens": tokens.written},
            "cut_short": ranking.cut_short,
            "windows": window_counts(ranking.steps),
            "server": f"reasonrank-pyserini {__version__}",
            **({"reasoning": _reasoning(ranking.steps, reasoning_characters)} if call.reasoning else {}),
        },
    }


class Tokens:
    """Tokens that a ranking's windows read and wrote, answers from a journal included."""

    __slots__ = ("read", "written")

    def __init__(self, read: int, written: int) -> None:
        self.read, self.written = read, written

    @classmethod
    def of(cls, ranking: Ranking) -> Tokens:
        """The sums over its windows."""
        found = [step.verdict.completion for step in ranking.steps if step.verdict.completion is not None]
        return cls(sum(c.prompt_tokens for c in found), sum(c.completion_tokens for c in found))


def window_counts(steps: Sequence[Step]) -> dict[str, int]:
    """How many windows were judged, how many of them by an answer of the journal, and how many answers could not be
    read (those windows kept their order)."""
    answers = [step.verdict.completion for step in steps]
    return {
        "judged": len(steps),
        "cached": sum(answer is not None and answer.cached for answer in answers),
        "unreadable": sum(step.verdict.status is ParseStatus.FAILED for step in steps),
    }


def _reasoning(steps: Sequence[Step], most: int) -> list[dict[str, Any]]:
    """Each window with its documents' positions, before and after, and the model's reasoning for it."""
    return [_explained(step, most) for step in steps]


def _explained(step: Step, most: int) -> dict[str, Any]:
    completion = step.verdict.completion
    text = replace_lone_surrogates(split_reasoning(completion.text)[0]) if completion is not None else ""
    return {
        "window": [int(docid) for docid in step.window],
        "order": [int(docid) for docid in step.order],
        "status": step.verdict.status.value,
        "reasoning": text[:most],
        "truncated": len(text) > most,
    }
