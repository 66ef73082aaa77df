"""`reasonrank rerank --replay`: the same run from the journal alone; what is said of damage and of missing answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pytest
from http_server import reversed_ranking

from reasonrank_pyserini import Document, Reranker
from reasonrank_pyserini.cli import main
from reasonrank_pyserini.engines import EngineConfig
from reasonrank_pyserini.errors import EngineError, InputError, ReplayMissError
from reasonrank_pyserini.models.identity import model_identity
from reasonrank_pyserini.types import Completion, Limits, Prompt, Sampling

QUERIES, WINDOWS = 3, 9  # 40 candidates a query in windows of 20, step 10


class Backwards:
    """An engine with weights of its own, that puts every window in reverse; `started` counts its starts."""

    limits = Limits(requests=4)
    started = 0
    refuses = ""

    def __init__(self, model: str) -> None:
        self.model = model

    @classmethod
    def from_config(cls, config: EngineConfig) -> Backwards:
        return cls(config.model)

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"engine": "backwards", **model_identity(self.model)}

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        if self.refuses and self.refuses in prompt.text:
            raise EngineError("refused")
        return Completion(reversed_ranking(prompt.text), len(prompt.token_ids or ()), 20)

    async def __aenter__(self) -> Self:
        type(self).started += 1
        return self

    async def __aexit__(self, *error: object) -> None:
        return None


@pytest.fixture
def model(tiny_tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a model: a tokenizer and, as weights, some bytes that only their hash is taken of."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_tokenizer, folder)
    (folder / "config.json").write_text('{"max_position_embeddings": 8192}')
    (folder / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(Backwards, "started", 0)
    monkeypatch.setattr(Backwards, "refuses", "")
    return folder


@pytest.fixture
def requests(tmp_path: Path) -> Path:
    path = tmp_path / "requests.jsonl"
    with path.open("w") as stream:
        for q in range(QUERIES):
            rows = [
                {"docid": f"d{q}-{i}", "score": 40 - i, "doc": {"text": f"text {i} of {q}"}}
                for i in range(40)
            ]
            stream.write(
                json.dumps({"query": {"qid": f"q{q}", "text": f"question {q}"}, "candidates": rows}) + "\n"
            )
    return path


class Told:
    """`reasonrank rerank` over the requests: exit status, counts on stdout, lines on stderr."""

    def __init__(
        self, capsys: pytest.CaptureFixture[str], requests: Path, model: Path, out: Path, *more: str
    ) -> None:
        arguments = [
            "rerank", "--requests", str(requests), "--model", str(model), "--engine", "test_replay:Backwards",
            "--profile", "reasonrank-7b", "--reasoning-tokens", "100", "-o", str(out), *more,
        ]  # fmt: skip
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        said = capsys.readouterr()
        self.status, self.out, self.lines = caught.value.code, said.out, said.err.splitlines()


@pytest.fixture
def out(capsys: pytest.CaptureFixture[str], requests: Path, model: Path, tmp_path: Path) -> Path:
    """The folder of a finished run."""
    done = Told(capsys, requests, model, tmp_path / "out")
    assert (done.status, json.loads(done.out)["statuses"]) == (0, {"CLEAN": WINDOWS}), done.lines
    assert Backwards.started == 1
    return tmp_path / "out"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_finished_run_is_compared_and_left_alone(
    capsys: pytest.CaptureFixture[str], requests: Path, model: Path, out: Path
) -> None:
    before = contents(out)
    (model / "model.safetensors").unlink()
    done = Told(capsys, requests, model, out, "--replay")
    assert (done.status, json.loads(done.out)["replayed"]) == (0, True), done.lines
    assert done.lines[-1] == f"reasonrank: the journal gives {out / 'run.trec'} again, to the byte"
    assert contents(out) == before
    (out / "run.trec").write_text("q0 Q0 d0-0 1 1.0 x\n")
    other = Told(capsys, requests, model, out, "--replay")
    assert (other.status, other.out) == (1, "")
    assert "for 3 of 3 queries, e.g. 'q0': --overwrite writes it there" in other.lines[-1]
    assert Told(capsys, requests, model, out, "--replay", "--overwrite").status == 0
    assert (out / "run.trec").read_bytes() == before["run.trec"]
    assert Backwards.started == 1


def test_a_journal_alone_gives_the_identical_run_without_weights(
    capsys: pytest.CaptureFixture[str], requests: Path, model: Path, out: Path, tmp_path: Path
) -> None:
    shutil.copytree(out / "journal", tmp_path / "moved" / "journal")
    (model / "model.safetensors").unlink()
    done = Told(capsys, requests, model, tmp_path / "moved", "--replay")
    assert done.status == 0, done.lines
    for name in ("run.trec", "results.jsonl"):
        assert (tmp_path / "moved" / name).read_bytes() == (out / name).read_bytes()
    manifest = json.loads((tmp_path / "moved" / "manifest.json").read_text())
    assert (manifest["cached"], manifest["journal"]) == (WINDOWS, {"records": WINDOWS, "damaged": 0})
    assert Backwards.started == 1


def test_without_a_note_the_engine_is_asked_what_it_is(
    capsys: pytest.CaptureFixture[str], requests: Path, model: Path, out: Path
) -> None:
    (note,) = (out / "journal").glob("engine-*.json")
    note.unlink()
    assert Told(capsys, requests, model, out, "--replay").status == 0
    assert Backwards.started == 1


@pytest.mark.parametrize(("record", "window"), [(-1, 3), (0, 1)])
def test_what_is_missing_is_one_line_and_nothing_is_replaced(
    capsys: pytest.CaptureFixture[str], requests: Path, model: Path, out: Path, record: int, window: int
) -> None:
    (path,) = (out / "journal").glob("*.journal")
    lines = path.read_bytes().splitlines(keepends=True)
    lines[record] = lines[record].replace(b"answer", b"anwser")
    path.write_bytes(b"".join(lines))
    before = contents(out)
    done = Told(capsys, requests, model, out, "--replay")
    assert (done.status, done.out) == (1, "")
    assert (
        f"1 damaged record was skipped and must be generated again: `reasonrank journal verify {out}/journal`"
        in (done.lines[0])
    )
    assert "lacks answers for 1 of 3 queries (the first: query q" in done.lines[-1]
    assert done.lines[-1].endswith(f"window {window}): the same command without --replay asks for them")
    assert contents(out) == before
    again = Told(capsys, requests, model, out, "--overwrite")
    assert again.status == 0
    assert "1 damaged record was skipped and must be generated again" in again.lines[0]
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["cached"], manifest["journal"]) == (WINDOWS - 1, {"records": WINDOWS, "damaged": 1})
    assert contents(out)["run.trec"] == before["run.trec"]


def test_windows_that_failed_fail_again(
    capsys: pytest.CaptureFixture[str],
    requests: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Backwards, "refuses", "text 0 of 1")
    kept = Told(capsys, requests, model, tmp_path / "out", "--on-error", "keep")
    assert (kept.status, json.loads(kept.out)["errors"]) == (3, 1)
    run = (tmp_path / "out" / "run.trec").read_bytes()
    again = Told(capsys, requests, model, tmp_path / "out", "--on-error", "keep", "--replay")
    assert (again.status, json.loads(again.out)["errors"]) == (3, 1), again.lines
    assert (tmp_path / "out" / "run.trec").read_bytes() == run
    strict = Told(capsys, requests, model, tmp_path / "out", "--replay")
    assert "query q1, window 3" in strict.lines[-1]


def test_nothing_to_replay_is_bad_input(
    capsys: pytest.CaptureFixture[str], requests: Path, model: Path, tmp_path: Path
) -> None:
    done = Told(capsys, requests, model, tmp_path / "none", "--replay")
    assert (done.status, len(done.lines)) == (2, 1)
    assert f"there is no journal {tmp_path}/none/journal" in done.lines[0]
    assert not (tmp_path / "none").exists()


def test_in_python(model: Path, tmp_path: Path) -> None:
    documents = [Document(f"d{i}", f"text {i}") for i in range(5)]
    settings = {"engine": "test_replay:Backwards", "profile": "reasonrank-7b", "reasoning_tokens": 100}
    with Reranker.from_pretrained(str(model), journal=tmp_path / "j", **settings) as reranker:
        first = reranker.rerank("question", documents)
    (model / "model.safetensors").unlink()
    with Reranker.from_pretrained(str(model), journal=tmp_path / "j", replay=True, **settings) as reranker:
        assert reranker.rerank("question", documents).ids == first.ids == ("d4", "d3", "d2", "d1", "d0")
        with pytest.raises(ReplayMissError, match="run it without replay"):
            reranker.rerank("another question", documents)
    assert Backwards.started == 1
    with pytest.raises(InputError, match="a replay needs the folder of a recorded run"):
        Reranker.from_pretrained(str(model), replay=True, **settings)
