"""What a model is: its identity and profile, whether it fits this machine, what it costs; the shipped nano."""
