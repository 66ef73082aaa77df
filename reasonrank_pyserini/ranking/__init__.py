"""From candidates to a ranking: who judges a window, in which order windows run, with which settings."""
