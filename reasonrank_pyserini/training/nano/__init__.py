"""Training in miniature: the rule-based teacher of the nano world and its files."""
