"""OpenAI-compatible servers: requests, streams, failures and the choice among several servers."""
