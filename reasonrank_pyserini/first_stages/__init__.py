"""First stages: run files, Lucene BM25, dense retrieval, fusion; the Java that they need."""
