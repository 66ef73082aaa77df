"""The prompts of published rerankers, one TOML file each: texts byte for byte as their authors wrote them."""
