"""First stages by name: a method opened over documents or an index, several of them fused."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import InputError, UnknownNameError
from ..lazy import resolve
from ..types import Document
from .base import METHODS, FirstStage
from .encoder_options import EncoderOptions
from .fusion import METHODS as METHODS_OF_FUSION
from .fusion import ReciprocalRankFusion, WeightedFusion

FUSIONS = (*METHODS_OF_FUSION, "weighted")


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """How first stages search.

    `k1` and `b` are BM25's, `encoder` is for dense retrieval. `threads`: None means all processors. `heap`: Java's
    memory, such as 8g, which can only be set before Java starts.
    """

    k1: float = 0.9
    b: float = 0.4
    threads: int | None = None
    heap: str | None = None
    encoder: EncoderOptions | None = None

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise InputError(f"`threads` is {self.threads}: give at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionOptions:
    """How several first stages become one; each gives `depth` candidates.

    `method`: rrf, or by weighted scores min-max (also called weighted), z-score or none, see `fusion.fuse_rankings`.

    `weights`: one for each stage, None means the same for all. `rrf_k`: the constant of rrf.
    """

    method: Literal["rrf", "weighted", "min-max", "z-score", "none"]
    weights: tuple[float, ...] | None = None
    rrf_k: float = 60
    depth: int = 1000

    def __post_init__(self) -> None:
        if self.method not in FUSIONS:
            raise UnknownNameError("fusion", self.method, FUSIONS)
        if self.depth < 1:
            raise InputError(f"`depth` is {self.depth}: give at least 1")


def open_stage(
    method: str,
    options: SearchOptions = SearchOptions(),
    *,
    documents: str | Path | Iterable[Document] | None = None,
    index: str | Path | None = None,
    identity: Mapping[str, Any] | None = None,
    progress: Callable[[int], object] | None = None,
) -> FirstStage:
    """The first stage of that method over an index, or over the cached index of documents, built if missing.

    `method`: a name of `base.METHODS` or module:attribute. `identity`, JSON values that name the documents, saves
    hashing them. `progress` is given the number of passages encoded since its last call.
    """
    check_method(method, options)
    set_java_heap(options.heap)
    where = {"index": index} if index is not None else {"corpus": documents, "identity": identity}
    make: Callable[..., FirstStage] = resolve("method", method, METHODS)
    with _cache_errors():
        if method == "dense":
            return make(**where, threads=options.threads, progress=progress, encoder=options.encoder)
        if method in METHODS:
            return make(**where, method=method, k1=options.k1, b=options.b, threads=options.threads)
        return make(**where)


def check_method(method: str, options: SearchOptions) -> None:
    """InputError for an unknown method, and for dense without an encoder."""
    if method not in METHODS and ":" not in method:
        raise UnknownNameError("method", method, METHODS, "or give your own as module:attribute")
    if method == "dense" and options.encoder is None:
        raise InputError("dense retrieval needs `encoder`, such as sentence-transformers/all-MiniLM-L6-v2")


def fused(stages: Sequence[FirstStage], fusion: FusionOptions | None) -> FirstStage:
    """The stages as one; without `fusion` there is only one stage."""
    if fusion is None:
        (stage,) = stages
        return stage
    if fusion.method == "rrf":
        return ReciprocalRankFusion(stages, fusion.rrf_k, fusion.weights, fusion.depth)
    normalise = "min-max" if fusion.method == "weighted" else fusion.method
    return WeightedFusion(stages, fusion.weights, normalise, fusion.depth)


def set_java_heap(heap: str | None) -> None:
    """Give every Java that is started from here this memory, the one that builds indexes included."""
    if heap is not None:
        from .java import HEAP_VARIABLE, heap_bytes

        heap_bytes(heap)
        os.environ[HEAP_VARIABLE] = heap


def cached_indexes() -> frozenset[Path]:
    """The index folders in the cache."""
    from ..files.caches import cache_root

    return frozenset(path for kind in ("lucene", "dense") for path in (cache_root() / kind).glob("*"))


def index_note(stage: FirstStage, before: frozenset[Path]) -> str | None:
    """Where a stage's index is, and whether it is new since `before`; None for a stage without one."""
    folder: Path | None = getattr(stage, "folder", None)
    if folder is None:
        return None
    cached = {folder, folder.parent} & cached_indexes()
    return f"index {folder}{' (built now)' if cached - before else ' (reused)' if cached else ''}"


@contextmanager
def _cache_errors() -> Iterator[None]:
    """A cache that is full or cannot be written as one line."""
    from ..files.caches import cache_root

    try:
        yield
    except OSError as error:
        where = f"{cache_root()}: {error.strerror or error}"
        raise InputError(
            f"the index cannot be kept in the cache ({where}): name another folder in REASONRANK_CACHE"
        ) from error
