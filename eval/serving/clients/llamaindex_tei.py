"""LlamaIndex through the interface of Text Embeddings Inference."""

from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference


def rerank(url: str, token: str, query: str, documents: list[str]) -> list[str]:
    reranker = TextEmbeddingInference(base_url=url, auth_token=f"Bearer {token}", top_n=len(documents))
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in documents]
    return [node.text for node in reranker.postprocess_nodes(nodes, query_str=query)]
