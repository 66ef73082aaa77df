"""OpenAI-compatible servers: requests, streams, failures, several servers as one."""
