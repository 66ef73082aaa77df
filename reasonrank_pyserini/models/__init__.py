"""Models: identity, profiles, whether one fits this machine, what it costs; the shipped nano."""
