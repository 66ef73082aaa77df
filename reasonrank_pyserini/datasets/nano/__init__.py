"""The nano world: a small generated collection on which a tiny model can learn to rank."""

from .concepts import Concept, Domain
from .world import DATASETS, TOPICS, Topic, World

__all__ = ["DATASETS", "TOPICS", "Concept", "Domain", "Topic", "World"]
