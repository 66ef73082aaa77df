"""Readers and writers of the files that a reranking starts from: corpora, topics, requests, BEIR folders."""

from __future__ import annotations

from .beir import read_beir_qrels
from .corpora import Corpus
from .excluded import read_excluded
from .requests import Request, read_requests
from .results import make_requests, write_requests, write_results
from .topics import read_topics, topic_fields

__all__ = [
    "Corpus",
    "Request",
    "make_requests",
    "read_beir_qrels",
    "read_excluded",
    "read_requests",
    "read_topics",
    "topic_fields",
    "write_requests",
    "write_results",
]
