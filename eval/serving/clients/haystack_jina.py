"""Haystack through Jina's interface; it waits five seconds, which cannot be changed."""

from haystack import Document
from haystack.utils import Secret
from haystack_integrations.components.rankers.jina import JinaRanker


def rerank(url: str, token: str, query: str, documents: list[str]) -> list[str]:
    ranker = JinaRanker(model="reasonrank", api_key=Secret.from_token(token), base_url=f"{url}/v1/rerank")
    found = ranker.run(query=query, documents=[Document(content=text) for text in documents])
    return [document.content for document in found["documents"]]
