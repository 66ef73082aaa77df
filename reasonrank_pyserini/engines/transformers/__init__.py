"""transformers in this process: CPU, CUDA, MPS."""
