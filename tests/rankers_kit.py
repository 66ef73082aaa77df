"""The golden cases of other rerankers: read row by row, nothing of them known beforehand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from reasonrank_pyserini.engines.scripted import ScriptedEngine
from reasonrank_pyserini.prompts import MessageStyle, PromptBuilder, get_style
from reasonrank_pyserini.ranking.asking import Asker
from reasonrank_pyserini.types import Document, Prompt, Query, Sampling

NUMBERS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
QUERY = Query("q", "why do moths fly to lamps")
FOLDER = Path("golden") / "rankers"


def rows(shared: Path, ranker: str, kind: str) -> list[dict[str, Any]]:
    """The rows of `ranker.kind.jsonl`; the test is skipped where the folder is absent."""
    file = shared / FOLDER / f"{ranker}.{kind}.jsonl"
    if not file.exists():
        pytest.skip(f"{file} is not here")
    return [json.loads(line) for line in file.read_text(encoding="ascii").splitlines()]


def number(value: Any) -> Any:
    """A number of a row, which writes NaN and infinities as strings."""
    return NUMBERS.get(value, value) if isinstance(value, str) else value


@pytest.fixture(scope="module")
def qwen(shared: Path) -> Any:
    """Qwen2.5's tokenizer."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(shared / "golden" / "qwen2.5-tokenizer")


def style(name: str) -> MessageStyle:
    found = get_style(name)
    assert isinstance(found, MessageStyle)
    return found


def built(
    chosen: MessageStyle, tokenizer: Any, query: str, documents: Sequence[Document], **options: Any
) -> Prompt:
    scores = options.pop("scores", ())
    builder = PromptBuilder(chosen, tokenizer, **options)
    return builder.build(query, documents, answer_tokens=0, scores=scores).prompt


def asker(style: str, qwen: Any, script: Any, **sampling: Any) -> Asker:
    """Asks the script in a style's words."""
    return Asker(PromptBuilder(style, qwen), ScriptedEngine(script), Sampling(**sampling))
