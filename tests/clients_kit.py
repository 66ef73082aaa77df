"""What the tests of clients share: servers with a token, and a query of the nano world with its right order."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from reasonrank_pyserini import Reranker, load_dataset

TOKEN = "s3cret-of-the-tests"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
TOKENS = {"REASONRANK_SERVE_TOKENS": f"tests:{TOKEN}"}
"""The environment of a server that wants the token."""
STEERED = ("--model", "nano", "--engine", "steered_engine:Steered", "--queue", 0)
STEERED_ENVIRONMENT = {
    **TOKENS,
    "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
}
"""Options and environment of a server whose engine a query's words steer; it answers and refuses at once."""


@cache
def nano_case() -> tuple[str, list[str], list[str]]:
    """A query of the nano world, twelve of its passages, and these in the order in which the toy model puts them."""
    dataset = load_dataset("nano/test")
    query = next(iter(dataset.queries()))
    relevant = list(dataset.qrels()[query.id])
    ids = [doc.id for doc in dataset.documents if doc.id not in relevant][: 12 - len(relevant)] + relevant
    texts = [doc.text for doc in dataset.documents.get_many(ids).values()]
    with Reranker.from_pretrained("nano") as reranker:
        ranking = reranker.rerank(query.text, texts)
    return query.text, texts, [candidate.document.text for candidate in ranking.candidates]
