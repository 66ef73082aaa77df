"""A synthesis that is checked and opened: everything that can be refused before a call is paid for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...engines import ENGINES, EngineConfig, load_engine, result_arguments
from ...engines.gate import ThrottledEngine
from ...engines.journal import Journal, Recorded
from ...errors import InputError, UnknownNameError
from ...files.caches import file_sha256, fingerprint
from ...first_stages.base import FirstStage, RunFirstStage, without
from ...first_stages.encoder_options import EncoderOptions
from ...first_stages.opening import SearchOptions, check_method
from ...jobs.collection import Collection, open_collection
from ...jobs.run_source import read_source
from ...jobs.saying import Say
from ...models.identity import load_tokenizer
from ...prompts import window_style
from ...types import Sampling, ScoredDocument
from .pools import Pool, make_pools
from .sources import Page, Source, read_sources
from .synthesis_folder import Money, held_documents
from .synthesis_request import CandidateOptions, SynthesisRequest, TeacherOptions
from .teacher import Teacher, TeacherPrompts


@dataclass(frozen=True, slots=True)
class SynthesisJob:
    """A checked request: sources read, names resolved, no call made."""

    request: SynthesisRequest
    sources: tuple[Source, ...]
    collection: Collection | None
    prompts: TeacherPrompts
    config: EngineConfig

    @classmethod
    def prepare(cls, request: SynthesisRequest) -> SynthesisJob:
        """The job of a request; InputError for whatever cannot work."""
        window_style(request.student.style)
        sources = _read_all(request)
        collection = _collection(request.candidates)
        if collection is None and not any(source.pages or source.negatives for source in sources):
            raise InputError(
                "no candidates: give `corpus` FILE, `index` NAME or `dataset` ID, or sources with pages"
            )
        prompts = TeacherPrompts.load(request.teacher.prompts, request.student.passage_tokens)
        config = _config(request.teacher)
        load_engine(request.teacher.engine, config)  # refuses arguments that it does not have
        return cls(request, sources, collection, prompts, config)

    @property
    def money(self) -> Money:
        return Money(self.request.teacher.price_in, self.request.teacher.price_out)

    def pools(self, limit: int | None = None, *, say: Say) -> list[Pool]:
        """The candidates of all sources, or of the first `limit`; searches, reads pages."""
        asked, empty = self.request.candidates, list[Page]()
        pools = list(
            make_pools(
                self.sources[:limit],
                stage=self._stage(say),
                documents=self.collection.documents() if self.collection is not None else None,
                size=asked.pool,
                words=asked.page_words,
                report_empty=empty.append,
            )
        )
        held_documents(document for pool in pools for document in pool.documents)
        if empty:
            say(f"{len(empty)} pages hold no text, e.g. {empty[0].file}")
        return pools

    def _stage(self, say: Say) -> FirstStage | None:
        if (collection := self.collection) is None:
            return None
        asked = self.request.candidates
        if asked.run is not None:
            given = read_source(asked.run)
            for note in given.notes:
                say(note)
            stage: FirstStage = RunFirstStage(given.run)
        else:
            stage = collection.stage(asked.method or "bm25", asked.search)
        return without(stage, collection.excluded)

    def teacher(self, journal: Path) -> Teacher:
        """The teacher, not yet started; its answers are recorded in `journal`."""
        asked = self.request.teacher
        engine = Recorded(ThrottledEngine(load_engine(asked.engine, self.config)), Journal(journal))
        sampling = Sampling(temperature=asked.temperature, top_p=asked.top_p, max_tokens=asked.max_tokens)
        return Teacher(engine, self.prompts, sampling, self.request.lists.seed)

    def student_tokenizer(self) -> Any:
        """The student's tokenizer; None where passages are cut by words."""
        name = self.request.student.tokenizer
        return None if name is None else load_tokenizer(name)

    def configuration(self) -> dict[str, Any]:
        """Everything that the result depends on."""
        teacher = self.request.teacher
        return {
            "teacher": {
                "model": self.config.model,
                "engine": teacher.engine,
                "engine_args": result_arguments(teacher.engine, self.config.args),
                "prompts": fingerprint(self.prompts.tables),
            },
            "settings": _settings(self.request),
            "inputs": self._inputs(),
        }

    def _inputs(self) -> dict[str, Any]:
        """Files and given objects by sha256, everything else by its name."""
        request, run = self.request, self.request.candidates.run
        pages = sorted({page.file for s in self.sources for page in (*s.pages, *s.negatives)})
        found: dict[str, Any] = {"sources": [_digest(source) for source in request.sources]}
        found |= self.collection.hashes() if self.collection is not None else {}
        if run is not None:
            found["run"] = file_sha256(run) if isinstance(run, str | Path) else _run_digest(run)
        if pages:
            found["pages"] = fingerprint({str(n): file_sha256(page) for n, page in enumerate(pages)})
        found["against"] = [file_sha256(n) if Path(n).is_file() else n for n in request.against]
        return found


def _settings(request: SynthesisRequest) -> dict[str, Any]:
    """The settings in the manifest; those of the search only where they are not the usual ones."""
    teacher, candidates, lists, student = request.teacher, request.candidates, request.lists, request.student
    search = replace(candidates.search, threads=None, heap=None)
    encoder = search.encoder.model if search.encoder else None
    usual = SearchOptions(encoder=EncoderOptions(encoder) if encoder else None)
    return {
        "domain": request.domain,
        "temperature": teacher.temperature,
        "top_p": teacher.top_p,
        "max_tokens": teacher.max_tokens,
        "pool": candidates.pool,
        "list_size": lists.size,
        "page_words": candidates.page_words,
        "min_ndcg": lists.min_ndcg,
        "seed": lists.seed,
        "style": student.style,
        "tokenizer": student.tokenizer,
        "passage_tokens": student.passage_tokens,
        "limit": request.limit,
        "method": candidates.method,
        "encoder": encoder,
        "ngram": request.ngram,
        **({"search": asdict(search)} if search != usual else {}),
    }


def _digest(source: str | Path | Source) -> str:
    if isinstance(source, Source):
        return fingerprint({"source": [source.dataset, source.domain, source.id, source.text, source.gold]})
    return file_sha256(source)


def _run_digest(run: Mapping[str, Sequence[ScoredDocument]]) -> str:
    return fingerprint({query: [[hit.id, hit.score] for hit in hits] for query, hits in run.items()})


def _read_all(request: SynthesisRequest) -> tuple[Source, ...]:
    if not request.sources:
        raise InputError("no sources: give `sources` FILE.jsonl, one query a line")
    found: dict[str, Source] = {}
    for given in request.sources:
        for source in [given] if isinstance(given, Source) else read_sources(given, request.domain):
            if source.id in found:
                where = "" if isinstance(given, Source) else f"{given}: "
                raise InputError(f"{where}id {source.id!r} is in another of the sources too: make ids unique")
            found[source.id] = source
    if not found:
        raise InputError(f"{request.sources[0]} holds no sources")
    return tuple(found.values())[: request.limit]


def _collection(asked: CandidateOptions) -> Collection | None:
    if asked.method is not None:
        check_method(asked.method, asked.search)
        if asked.run is not None:
            raise InputError("`run` and `method` exclude each other: candidates come from one of them")
    if asked.collection.named:
        return open_collection(asked.collection)
    if asked.run is not None:
        raise InputError("`run` names documents: give their texts by `corpus` FILE, `index` or `dataset`")
    return None


def _config(teacher: TeacherOptions) -> EngineConfig:
    engine = teacher.engine
    if engine not in ENGINES and ":" not in engine:
        raise UnknownNameError("engine", engine, ENGINES, "or give your own as module:attribute")
    if engine in ("vllm", "transformers"):
        raise InputError(
            f"the teacher is a chat server: serve it (vllm serve) and give `base_urls`, not {engine}"
        )
    if teacher.model is None:
        raise InputError("no teacher: give `model` M and `base_urls` of an OpenAI-compatible server")
    if (teacher.price_in is None) != (teacher.price_out is None):
        raise InputError("give both `price_in` and `price_out`, or neither")
    return EngineConfig(
        teacher.model, base_urls=teacher.base_urls, api="chat", args=dict(teacher.engine_args)
    )
