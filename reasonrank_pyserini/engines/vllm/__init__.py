"""The vllm engine: vLLM servers that this process, or Ray, starts."""
