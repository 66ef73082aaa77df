"""The nano world: a small world of text, made by code, on which a model of a few parameters learns to rank."""

from .concepts import Concept, Domain
from .world import TOPICS, Topic, World

__all__ = ["TOPICS", "Concept", "Domain", "Topic", "World"]
