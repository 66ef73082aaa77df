"""Training data and training of listwise rerankers that reason before they rank."""
