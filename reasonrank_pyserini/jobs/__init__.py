"""One resumable result folder: its input, the reranking that fills it, its trace and manifest, its replay."""
