"""LiteLLM; the providers cohere, jina_ai, together_ai, infinity and huggingface take the same arguments."""

import litellm


def rerank(
    url: str, token: str, query: str, documents: list[str], provider: str = "hosted_vllm"
) -> list[str]:
    where = {"model": f"{provider}/reasonrank", "api_base": url, "api_key": token}
    answer = litellm.rerank(**where, query=query, documents=documents, return_documents=False)
    return [documents[result["index"]] for result in answer.results]
