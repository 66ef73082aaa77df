"""The transformers engine: models in this process on CPU, CUDA or MPS."""
