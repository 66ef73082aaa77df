"""LlamaIndex through Cohere's client; without `max_retries` it repeats a failed request ten times."""

from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.cohere_rerank import CohereRerank


def rerank(url: str, token: str, query: str, documents: list[str]) -> list[str]:
    reranker = CohereRerank(
        model="reasonrank", base_url=url, api_key=token, top_n=len(documents), max_retries=1
    )
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in documents]
    return [node.text for node in reranker.postprocess_nodes(nodes, query_str=query)]
