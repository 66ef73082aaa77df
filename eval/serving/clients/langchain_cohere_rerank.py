"""LangChain: a document compressor, as for ContextualCompressionRetriever."""

from langchain_cohere import CohereRerank
from langchain_core.documents import Document


def rerank(url: str, token: str, query: str, documents: list[str]) -> list[str]:
    reranker = CohereRerank(model="reasonrank", base_url=url, cohere_api_key=token, top_n=len(documents))
    ranked = reranker.compress_documents([Document(text) for text in documents], query)
    return [document.page_content for document in ranked]
