"""Dense encoders: sentence-transformers models and Pyserini's encoder classes behind one shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import InputError
from ..lazy import require, resolve
from ..types import Document
from .encoder_options import EncoderOptions
from .encoder_sources import Source, find_source
from .java import import_pyserini

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

    Vectors = NDArray[float32]

KINDS = {
    "sentence-transformers": "reasonrank_pyserini.first_stages.encoders:SentenceTransformersEncoder",
    "aggretriever": "reasonrank_pyserini.first_stages.encoders:PyseriniEncoder",
    "ance": "reasonrank_pyserini.first_stages.encoders:PyseriniEncoder",
    "arctic": "reasonrank_pyserini.first_stages.encoders:PyseriniEncoder",
    "auto": "reasonrank_pyserini.first_stages.encoders:PyseriniEncoder",
    "contriever": "reasonrank_pyserini.first_stages.encoders:PyseriniEncoder",
    "cosdpr": "reasonrank_pyserini.first_stages.encoders:PyseriniEncoder",
    "dpr": "reasonrank_pyserini.first_stages.encoders:PyseriniEncoder",
    "tct_colbert": "reasonrank_pyserini.first_stages.encoders:PyseriniEncoder",
}
"""Encoder classes by name: the sentence-transformers library, and Pyserini's dense text encoders."""

_CLASSES = {
    "aggretriever": ("AggretrieverDocumentEncoder", "AggretrieverQueryEncoder"),
    "ance": ("AnceDocumentEncoder", "AnceQueryEncoder"),
    "arctic": ("ArcticDocumentEncoder", "ArcticQueryEncoder"),
    "auto": ("AutoDocumentEncoder", "AutoQueryEncoder"),
    "contriever": ("AutoDocumentEncoder", "AutoQueryEncoder"),
    "cosdpr": ("CosDprDocumentEncoder", "CosDprQueryEncoder"),
    "dpr": ("DprDocumentEncoder", "DprQueryEncoder"),
    "tct_colbert": ("TctColBertDocumentEncoder", "TctColBertQueryEncoder"),
}
_OWN_CODE = ("qwen3", "dse")
"""Pyserini classes that always load with trust_remote_code."""


class Encoder(Protocol):
    """Texts to float32 vectors, one row each; compared by inner product.

    `identity` is what the passage vectors depend on, JSON values: part of the key of every cached index.
    """

    @property
    def identity(self) -> Mapping[str, Any]: ...

    def encode_passages(self, documents: Sequence[Document]) -> Vectors: ...

    def encode_queries(self, texts: Sequence[str]) -> Vectors: ...


def load_encoder(spec: EncoderOptions) -> Encoder:
    """The encoder of `spec`; weights are read when first needed. InputError if it would run remote code."""
    if spec.kind in _OWN_CODE:
        raise InputError(
            f"encoder class {spec.kind!r} is refused: Pyserini loads it with trust_remote_code, which runs "
            "code of the model's author; try `encoder_class` sentence-transformers"
        )
    if spec.kind is not None and ":" in spec.kind:
        own: Encoder = resolve("encoder class", spec.kind, KINDS)(spec)
        return own
    if spec.kind is not None:
        resolve("encoder class", spec.kind, KINDS)
    source = find_source(spec.model, spec.revision)
    kind = spec.kind or source.kind
    encoder: Encoder = resolve("encoder class", kind, KINDS)(spec, source, kind)
    return encoder


def _identity(spec: EncoderOptions, source: Source, kind: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "source": source.identity,
        "passage_prefix": spec.passage_prefix,
        "max_length": spec.max_length,
        "normalise": spec.normalise,
        "pooling": spec.pooling,
    }


class SentenceTransformersEncoder:
    """A sentence-transformers model; its own query and passage prompts are used unless a prefix is given."""

    def __init__(self, spec: EncoderOptions, source: Source, kind: str = "sentence-transformers") -> None:
        require("sentence_transformers", "dense retrieval")
        if spec.query_model or spec.pooling:
            raise InputError("a separate query encoder or a pooling needs one of Pyserini's encoder classes")
        source.check_length(spec.max_length)
        self._spec, self._source = spec, source
        self._model: Any = None
        self.identity = _identity(spec, source, kind)

    def encode_passages(self, documents: Sequence[Document]) -> Vectors:
        return self._encode("encode_document", [passage(one) for one in documents], self._spec.passage_prefix)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        return self._encode("encode_query", [clean(text) for text in texts], self._spec.query_prefix)

    def _encode(self, method: str, texts: list[str], prefix: str | None) -> Vectors:
        own_prompt = {} if prefix is None else {"prompt": prefix}
        vectors = getattr(self._load(), method)(
            texts,
            batch_size=self._spec.batch_size,
            show_progress_bar=False,
            convert_to_numpy=True,
            **own_prompt,
        )
        return finished(vectors, self._spec)

    def _load(self) -> Any:
        if self._model is None:
            library = require("sentence_transformers", "dense retrieval")
            self._model = self._source.loaded(
                lambda: library.SentenceTransformer(
                    self._source.folder(), device=self._spec.device, trust_remote_code=False
                )
            )
            if self._spec.max_length is not None:
                self._model.max_seq_length = self._spec.max_length
        return self._model


class PyseriniEncoder:
    """A pair of Pyserini's document and query encoder classes, each loaded when first needed."""

    def __init__(self, spec: EncoderOptions, source: Source, kind: str) -> None:
        if spec.pooling and kind != "auto":
            raise InputError(f"pooling can be set for encoder class auto only; {kind} has its own")
        source.check_length(spec.max_length)
        source.refuse_own_code()
        self._spec, self._kind, self._passages = spec, kind, source
        self._queries = find_source(spec.query_model, None) if spec.query_model else source
        self._queries.refuse_own_code()
        self._encoders: dict[int, Any] = {}
        self.identity = _identity(spec, source, kind)

    def encode_passages(self, documents: Sequence[Document]) -> Vectors:
        import numpy
        import torch

        encoder, size, prefix = self._load(0), self._spec.batch_size, self._spec.passage_prefix or ""
        limit = {} if self._spec.max_length is None else {"max_length": self._spec.max_length}
        rows = []
        for start in range(0, len(documents), size):
            batch = documents[start : start + size]
            texts = [clean(prefix) + passage(one) for one in batch]
            with torch.inference_mode():
                rows.append(encoder.encode(texts, **limit))
        return finished(numpy.concatenate(rows), self._spec)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        import numpy
        import torch

        encoder, prefix = self._load(1), self._spec.query_prefix or ""
        limit = _accepted(encoder.encode, self._spec.max_length)
        with torch.inference_mode():
            rows = [
                numpy.asarray(encoder.encode(clean(prefix + text), **limit)).reshape(-1) for text in texts
            ]
        return finished(numpy.stack(rows), self._spec)

    def _load(self, role: int) -> Any:
        """The encoder for passages (role 0) or queries (role 1)."""
        if role not in self._encoders:
            make = getattr(import_pyserini("pyserini.encode"), _CLASSES[self._kind][role])
            source = (self._passages, self._queries)[role]
            name = ("model_name", "encoder_dir")[role]
            extra: dict[str, Any] = {}
            if self._kind in ("auto", "contriever"):
                mean = self._kind == "contriever" or self._spec.pooling == "mean"
                extra = {"pooling": "mean" if mean else "cls"}
            if self._kind == "arctic" and role == 1 and self._spec.query_prefix is not None:
                extra = {"query_prefix": ""}
            device = self._spec.device or _device()
            self._encoders[role] = source.loaded(
                lambda: make(**{name: source.folder()}, device=device, **extra)
            )
        return self._encoders[role]


def finished(vectors: Any, spec: EncoderOptions) -> Vectors:
    """The vectors as contiguous float32, scaled to length 1 if requested; InputError if one is not finite."""
    import numpy

    rows: Vectors = numpy.ascontiguousarray(vectors, dtype=numpy.float32)
    if not numpy.isfinite(rows).all():
        raise InputError(
            f"encoder {spec.model!r} gave a vector with NaN or infinity: its weights are damaged"
        )
    if spec.normalise:
        lengths = numpy.linalg.norm(rows, axis=1, keepdims=True)
        rows = numpy.ascontiguousarray(rows / numpy.where(lengths > 0, lengths, 1), dtype=numpy.float32)
    return rows


def passage(document: Document) -> str:
    """The encoded text of a document: title, space, text, or the text alone if it starts with the title."""
    alone = not document.title or document.text.startswith(document.title)
    return clean(document.text if alone else f"{document.title} {document.text}")


def clean(text: str) -> str:
    """The text without lone surrogates, which tokenizers reject."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _accepted(function: Callable[..., Any], max_length: int | None) -> dict[str, int]:
    """`max_length` as a keyword argument if the function has one; some of Pyserini's query lengths are fixed."""
    import inspect

    known = max_length is not None and "max_length" in inspect.signature(function).parameters
    return {"max_length": max_length} if known and max_length else {}


def _device() -> str:
    import torch

    return "cuda:0" if torch.cuda.is_available() else "cpu"
