"""The files that people bring and take away: runs, judgements, topics, corpora, requests; caches, downloads, locks."""
