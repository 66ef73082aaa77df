"""Haystack through vLLM's interface."""

from haystack import Document
from haystack.utils import Secret
from haystack_integrations.components.rankers.vllm import VLLMRanker


def rerank(url: str, token: str, query: str, documents: list[str]) -> list[str]:
    key, timeout = Secret.from_token(token), {"timeout": 60}
    ranker = VLLMRanker(model="reasonrank", api_key=key, api_base_url=f"{url}/v1", http_client_kwargs=timeout)
    found = ranker.run(query=query, documents=[Document(content=text) for text in documents])
    return [document.content for document in found["documents"]]
