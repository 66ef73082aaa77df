"""Runs, qrels, topics, corpora, requests; whole-or-nothing writes, caches, downloads, locks."""
