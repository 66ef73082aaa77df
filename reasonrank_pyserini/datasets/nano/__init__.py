"""The nano world: a small world of text, made by code, on which a model of a few parameters learns to rank."""

from .concepts import Concept, Domain
from .world import DATASETS, TOPICS, Topic, World

__all__ = ["DATASETS", "TOPICS", "Concept", "Domain", "Topic", "World"]
