"""Training on the nano world: its rule-based teacher, its exercises and its files."""
