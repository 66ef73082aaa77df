"""Training lists made with a teacher: sources, candidates, two calls a query, filter, output."""

from .list_making import synthesize
from .outcomes import Histogram, SynthesisResult
from .pools import Pool, make_pools
from .sources import DOMAINS, Source, read_sources
from .teacher import Teacher, TeacherPrompts

__all__ = [
    "DOMAINS",
    "Histogram",
    "Pool",
    "Source",
    "SynthesisResult",
    "Teacher",
    "TeacherPrompts",
    "make_pools",
    "read_sources",
    "synthesize",
]
