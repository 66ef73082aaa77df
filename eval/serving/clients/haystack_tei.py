"""Haystack through the interface of Text Embeddings Inference."""

from haystack import Document
from haystack.utils import Secret
from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker


def rerank(url: str, token: str, query: str, documents: list[str]) -> list[str]:
    ranker = HuggingFaceTEIRanker(url=url, token=Secret.from_token(token), top_k=len(documents), timeout=60)
    found = ranker.run(query=query, documents=[Document(content=text) for text in documents])
    return [document.content for document in found["documents"]]
