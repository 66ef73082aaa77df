"""Haystack through Cohere's client."""

from haystack import Document
from haystack.utils import Secret
from haystack_integrations.components.rankers.cohere import CohereRanker


def rerank(url: str, token: str, query: str, documents: list[str]) -> list[str]:
    ranker = CohereRanker(
        model="reasonrank", api_key=Secret.from_token(token), api_base_url=url, top_k=len(documents)
    )
    found = ranker.run(query=query, documents=[Document(content=text) for text in documents])
    return [document.content for document in found["documents"]]
