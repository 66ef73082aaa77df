"""First stages: run files, Lucene BM25, dense retrieval, fusion; and Java for Pyserini."""
