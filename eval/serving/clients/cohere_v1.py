"""Cohere's older client, which RAGFlow uses for its providers Cohere and vLLM."""

import cohere


def rerank(url: str, token: str, query: str, documents: list[str]) -> list[str]:
    client = cohere.Client(api_key=token, base_url=url)
    answer = client.rerank(model="reasonrank", query=query, documents=documents)
    return [documents[result.index] for result in answer.results]
