"""Cohere's client; versions 5 and 7."""

import cohere


def rerank(url: str, token: str, query: str, documents: list[str]) -> list[str]:
    client = cohere.ClientV2(api_key=token, base_url=url)
    answer = client.rerank(model="reasonrank", query=query, documents=documents)
    return [documents[result.index] for result in answer.results]
