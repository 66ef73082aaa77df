"""LlamaIndex through Jina's interface."""

from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.jinaai_rerank import JinaRerank


def rerank(url: str, token: str, query: str, documents: list[str]) -> list[str]:
    reranker = JinaRerank(model="reasonrank", base_url=f"{url}/v1", api_key=token, top_n=len(documents))
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in documents]
    return [node.text for node in reranker.postprocess_nodes(nodes, query_str=query)]
