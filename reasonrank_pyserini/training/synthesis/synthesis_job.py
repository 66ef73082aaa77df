"""One `reasonrank synthesize`: everything that can be checked before a call is paid for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from ...engines import ENGINES, EngineConfig, load_engine, result_arguments
from ...engines.gate import ThrottledEngine
from ...engines.journal import Journal, Recorded
from ...errors import InputError, UnknownNameError
from ...files.caches import file_sha256, fingerprint
from ...files.outputs import clean_stdout
from ...first_stages.base import METHODS, FirstStage, RunFirstStage, without
from ...first_stages.encoder_options import EncoderOptions
from ...first_stages.opening import SearchOptions, open_stage
from ...jobs.collection import Collection, CollectionRequest, open_collection
from ...jobs.flag_adapters import engine_arguments
from ...models.identity import load_tokenizer
from ...prompts import get_style
from ...types import Sampling
from . import Pool, Source, Teacher, TeacherPrompts, make_pools, read_sources
from .list_making import ListOptions
from .sources import Page
from .synthesis_folder import HeldDocuments, Money

_SETTINGS = ("domain", "temperature", "top_p", "max_tokens", "pool", "list_size", "page_words", "min_ndcg", "seed",
             "style", "tokenizer", "passage_tokens", "limit", "method", "encoder", "ngram")  # fmt: skip


@dataclass(frozen=True)
class SynthesisJob:
    """A checked request: sources read, names resolved, nothing asked."""

    flags: Mapping[str, Any]
    sources: tuple[Source, ...]
    collection: Collection | None
    prompts: TeacherPrompts
    config: EngineConfig
    command: tuple[str, ...]

    @classmethod
    def prepare(cls, flags: Mapping[str, Any], command: Sequence[str]) -> SynthesisJob:
        """Raises InputError for whatever cannot work."""
        get_style(flags["style"])
        sources = _read_all(flags)
        collection = _collection(flags)
        if collection is None and not any(source.pages or source.negatives for source in sources):
            raise InputError(
                "no candidates: give --corpus FILE, --index NAME or --dataset ID, or sources with pages"
            )
        prompts = TeacherPrompts.load(flags["prompts"], flags["passage_tokens"])
        config = _config(flags)
        load_engine(flags["engine"], config)  # refuses what it cannot honour
        return cls(flags, sources, collection, prompts, config, tuple(command))

    @cached_property
    def making(self) -> ListOptions:
        flags = self.flags
        return ListOptions(flags["list_size"], flags["min_ndcg"], flags["seed"], flags["on_error"])

    @cached_property
    def money(self) -> Money:
        return Money(self.flags["price_in"], self.flags["price_out"])

    def pools(self, limit: int | None = None) -> list[Pool]:
        """The candidates of all sources, or of the first `limit`; searches, reads pages."""
        with clean_stdout():
            stage, documents = self._stage()
            sources = self.sources[:limit]
            size, words = self.flags["pool"], self.flags["page_words"]
            empty: list[Page] = []
            pools = list(
                make_pools(
                    sources,
                    stage=stage,
                    documents=documents,
                    size=size,
                    words=words,
                    report_empty=empty.append,
                )
            )
        HeldDocuments(document for pool in pools for document in pool.documents)
        if empty:
            click.echo(f"reasonrank: {len(empty)} pages hold no text, e.g. {empty[0].file}", err=True)
        return pools

    def _stage(self) -> tuple[FirstStage | None, Any]:
        if self.collection is None:
            return None, None
        if self.flags["run"] is not None:
            from ...runfile import read_run

            stage: FirstStage = RunFirstStage(read_run(self.flags["run"]))
        else:
            encoder = self.flags["encoder"]
            options = SearchOptions(encoder=EncoderOptions(encoder) if encoder else None)
            where, index = self.collection, self.collection.request.index
            stage = open_stage(
                self.flags["method"] or "bm25",
                options,
                documents=where.documents() if index is None else None,
                index=index,
                identity=where.identity,
            )
        return without(stage, self.collection.excluded), self.collection.documents()

    def teacher(self, journal: Path) -> Teacher:
        """The teacher, not yet started; what it says is recorded in `journal`."""
        flags = self.flags
        engine = Recorded(ThrottledEngine(load_engine(flags["engine"], self.config)), Journal(journal))
        sampling = Sampling(
            temperature=flags["temperature"], top_p=flags["top_p"], max_tokens=flags["max_tokens"]
        )
        return Teacher(engine, self.prompts, sampling, flags["seed"])

    def student_tokenizer(self) -> Any:
        """The student's tokenizer; None where passages are cut by words."""
        name = self.flags["tokenizer"]
        return None if name is None else load_tokenizer(name)

    def inputs(self) -> dict[str, Any]:
        """For a manifest: the files by sha256, what is no file by its name."""
        flags = self.flags
        pages = sorted({page.file for s in self.sources for page in (*s.pages, *s.negatives)})
        found: dict[str, Any] = {"sources": [file_sha256(path) for path in flags["sources"]]}
        found |= self.collection.hashes() if self.collection is not None else {}
        if flags["run"] is not None:
            found["run"] = file_sha256(flags["run"])
        if pages:
            found["pages"] = fingerprint({str(n): file_sha256(page) for n, page in enumerate(pages)})
        found["against"] = [file_sha256(n) if Path(n).is_file() else n for n in flags["against"]]
        return found

    def configuration(self) -> dict[str, Any]:
        """What the result depends on."""
        return {
            "teacher": {
                "model": self.config.model,
                "engine": self.flags["engine"],
                "engine_args": result_arguments(self.flags["engine"], self.config.args),
                "prompts": fingerprint(self.prompts.tables),
            },
            "settings": {name: self.flags[name] for name in _SETTINGS},
            "inputs": self.inputs(),
        }


def _read_all(flags: Mapping[str, Any]) -> tuple[Source, ...]:
    if not flags["sources"]:
        raise InputError("no sources: give --sources FILE.jsonl, one query a line (or --dry-run --paper)")
    found: dict[str, Source] = {}
    for path in flags["sources"]:
        for source in read_sources(path, flags["domain"]):
            if source.id in found:
                raise InputError(
                    f"{path}: id {source.id!r} is in another of the --sources too: make ids unique"
                )
            found[source.id] = source
    if not found:
        raise InputError(f"{flags['sources'][0]} holds no sources")
    return tuple(found.values())[: flags["limit"]]


def _collection(flags: Mapping[str, Any]) -> Collection | None:
    method = flags["method"]
    if method is not None and method not in METHODS and ":" not in method:
        raise UnknownNameError("method", method, METHODS, "or give your own as module:attribute")
    if flags["run"] is not None and method is not None:
        raise InputError("--run and --method exclude each other: candidates come from one of them")
    if method == "dense" and not flags["encoder"]:
        raise InputError("--method dense needs --encoder, such as sentence-transformers/all-MiniLM-L6-v2")
    names = ("dataset", "index", "corpus", "excluded")
    request = CollectionRequest(**{name: flags[name] for name in names})
    if request.named:
        return open_collection(request)
    if flags["run"] is not None:
        raise InputError("--run names documents: give their texts by --corpus FILE, --index or --dataset")
    return None


def _config(flags: Mapping[str, Any]) -> EngineConfig:
    engine = flags["engine"]
    if engine not in ENGINES and ":" not in engine:
        raise UnknownNameError("engine", engine, ENGINES, "or give your own as module:attribute")
    if engine in ("vllm", "transformers"):
        raise InputError(
            f"the teacher is asked by chat: serve it (vllm serve) and use --base-url, not {engine}"
        )
    if flags["model"] is None:
        raise InputError("no teacher: give --model M and --base-url URL of an OpenAI-compatible server")
    if (flags["price_in"] is None) != (flags["price_out"] is None):
        raise InputError("give both --price-in and --price-out, or neither")
    return EngineConfig(
        flags["model"],
        base_urls=tuple(flags["base_url"]),
        api="chat",
        args=engine_arguments(flags["engine_arg"]),
    )
