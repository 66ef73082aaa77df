"""The demo: the whole path with the toy model, what it prints, and what it refuses."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from reasonrank_pyserini.cli import group, main
from reasonrank_pyserini.cli.demo import parameters
from reasonrank_pyserini.cli.demo_next import next_steps, steps_for
from reasonrank_pyserini.cli.demo_text import DemoResult, example_query
from reasonrank_pyserini.datasets.nano.world import Topic, World
from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.evaluation.report.report_scores import Scored
from reasonrank_pyserini.files.hub import SHIPPED
from reasonrank_pyserini.jobs.trace import TracedWindow
from reasonrank_pyserini.models.machine import Gpu
from reasonrank_pyserini.models.model_facts import ModelFacts
from reasonrank_pyserini.scoring import Scores

TOPICS = 6
NO_NETWORK = """
import os, socket
def refuse(*_): os.write(2, b"the network was asked"); os._exit(99)
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from reasonrank_pyserini.cli import main
main()
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a finished demo, made without a network, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    environment = {**os.environ, "REASONRANK_CACHE": str(folder / "cache")}
    environment.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run(
        [sys.executable, "-c", NO_NETWORK, "demo", "--topics", str(TOPICS), "-o", str(folder / "out")],
        env=environment, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "out", done.stdout


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert isinstance(end.value.code, int)
    return end.value.code, out, err


def test_the_toy_model_ranks_far_better_than_bm25(
    made: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = made
    assert len((folder / "qrels.txt").read_text().splitlines()) == TOPICS * 3
    code, out, _ = run(
        capsys, "evaluate", "--run", folder / "reranked/run.trec", "--baseline", folder / "bm25.trec",
        "--qrels", folder / "qrels.txt", "-m", "nDCG@10", "--json",
    )  # fmt: skip
    assert code == 0
    assert json.loads(out)["comparison"]["nDCG@10"]["difference"] > 0.2
    manifest = json.loads((folder / "reranked/manifest.json").read_text())
    assert manifest["queries"] == TOPICS
    assert manifest["statuses"].get("FAILED", 0) < 0.1 * manifest["windows"]


def test_it_prints_what_it_is_a_query_scores_files_and_the_next_command(made: tuple[Path, str]) -> None:
    from safetensors.numpy import load_file

    folder, out = made
    size = sum(array.size for array in load_file(SHIPPED["nano"] / "model.safetensors").values())
    lines = out.splitlines()
    assert lines[0].startswith(
        f"a toy model of {size:,} parameters on our own text: it shows that the machine"
    )
    topics = {topic.id: topic for topic in World.load().topics("test")}
    shown = topics[lines[2].removeprefix("query ").partition(",")[0]]
    relevant = World.load().qrels("test")[shown.id]
    marked = [line.split()[2] for line in lines if line[5:6] == "*"]
    assert marked
    assert set(marked) <= relevant.keys()
    assert f"The query describes {shown.concept}." in out
    assert [line.split()[0] for line in lines if ".." in line] == ["BM25", "reranked", "difference"]
    for name in ("bm25.trec", "reranked/run.trec", "reranked/trace.jsonl", "qrels.txt", "report.html"):
        assert f"{folder / name} " in out
        assert (folder / name).stat().st_size > 0
    assert lines[-1].strip().startswith("reasonrank evaluate")


def test_the_same_command_again_makes_nothing_and_prints_the_same(
    made: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, printed = made
    results = [folder / name for name in ("bm25.trec", "reranked/run.trec", "report.html")]
    before = [path.stat().st_mtime_ns for path in results]
    code, out, err = run(capsys, "demo", "--topics", TOPICS, "-o", folder)
    assert (code, out) == (0, printed)
    assert "already holds this result" in err
    assert [path.stat().st_mtime_ns for path in results] == before
    code, out, _ = run(capsys, "demo", "--topics", TOPICS, "-o", folder, "--query", "test-0002")
    assert code == 0
    assert out.splitlines()[2].startswith("query test-0002: ")


def test_an_unfinished_demo_continues(
    made: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after Ctrl-C: the journal is there, and neither a manifest nor a report."""
    folder = shutil.copytree(made[0], tmp_path / "out")
    for name in ("reranked/manifest.json", "reranked/run.trec", "reranked/trace.jsonl", "report.html"):
        (folder / name).unlink()
    code, out, _ = run(capsys, "demo", "--topics", TOPICS, "-o", folder)
    assert code == 0
    assert out == made[1].replace(str(made[0]), str(folder))
    manifest = json.loads((folder / "reranked/manifest.json").read_text())
    assert manifest["cached"] == manifest["windows"] > 0
    assert (folder / "report.html").is_file()


def test_a_folder_with_another_demo_or_something_else_is_refused(
    made: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bm25.trec").write_text("mine\n")
    refused = (
        ("holds something else (bm25.trec): choose another -o", tmp_path, ()),
        ("holds something else", tmp_path, ("--overwrite",)),
        (f"holds another demo (topics: {TOPICS} there, 7 now)", made[0], ("--topics", "7")),
    )
    for line, folder, options in refused:
        code, out, err = run(capsys, "demo", "-o", folder, *options)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert line in err
    assert (tmp_path / "bm25.trec").read_text() == "mine\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--topics", "0"], "0 is not in the range 1<=x<=96"),
        (["--topics", "97"], "97 is not in the range 1<=x<=96"),
        (["--topcs", "3"], "No such option '--topcs'"),
        (["--query", "test-002"], "unknown query 'test-002': did you mean 'test-00"),
        (["-o", __file__], "cannot be used as a folder"),
    ],
)
def test_bad_input_is_one_line_and_makes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    line: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, "demo", *arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert line in err
    assert not list(tmp_path.iterdir())


def test_parameters_are_counted_off_the_weights(tmp_path: Path) -> None:
    import numpy
    from safetensors.numpy import save_file

    save_file(
        {"a": numpy.zeros((2, 3)), "b": numpy.zeros(4)}, tmp_path / "model.safetensors", {"format": "pt"}
    )
    assert parameters(tmp_path) == 2 * 3 + 4
    with pytest.raises(InputError, match="install the package again"):
        parameters(tmp_path / "nothing")


def test_the_query_to_show_gained_and_was_reasoned_about_rightly() -> None:
    gains = {"same": 0.0, "wrong": 0.9, "some": 0.3, "more": 0.5, "unread": 0.8}
    topics = {id: Topic(id, "text", "qa", "Rust", "kitchen", ("wet", "iron")) for id in gains}

    def window(id: str) -> TracedWindow:
        status = "REPAIRED" if id == "unread" else "CLEAN"
        return TracedWindow(
            id, ("d",), ("d",), status, f"The query describes {'Frost' if id == 'wrong' else 'Rust'}."
        )

    def outcome(*ids: str) -> DemoResult:
        after = Scores({"nDCG@10": 0.0}, {id: {"nDCG@10": gains[id]} for id in ids})
        before = Scores({"nDCG@10": 0.0}, {id: {"nDCG@10": 0.0} for id in ids})
        return DemoResult(
            {id: topics[id] for id in ids}, {}, Scored(before, after), {id: [window(id)] for id in ids}
        )

    assert example_query(outcome(*gains)) == "more"
    assert example_query(outcome("same", "unread", "wrong")) == "wrong"
    assert example_query(outcome("same")) == "same"


H100, T4, OLD = (
    Gpu("NVIDIA H100 80GB HBM3", 80 << 30, 79 << 30, (9, 0)),
    Gpu("Tesla T4", 15 << 30, 15 << 30, (7, 5)),
    Gpu("GeForce GTX 1050", 2 << 30, 2 << 30, (6, 1)),
)
SEVEN_BILLION = ModelFacts("m", here=False, weights_bytes=15_231_233_024, kv_bytes_per_token=57_344)


@pytest.mark.parametrize(
    ("gpus", "said"),
    [
        ([H100], "--engine vllm -o out/"),
        ([T4, T4], "--engine vllm --engine-arg tensor_parallel_size=2 dtype=float16 -o out/"),
        ([OLD], "--base-url http://SERVER:8000/v1"),
        ([], "--base-url http://SERVER:8000/v1"),
    ],
)
def test_the_next_command_suits_the_machine(gpus: list[Gpu], said: str) -> None:
    lines = steps_for(gpus, SEVEN_BILLION, 16_384, vllm=True)
    assert any(said in line for line in lines)
    assert (gpus[0].name if gpus else "no CUDA GPU") in lines[0]
    assert not any("pip install" in line for line in lines)


def test_vllm_is_installed_first_where_it_is_missing() -> None:
    assert "  pip install 'reasonrank-pyserini[vllm]'" in steps_for([H100], SEVEN_BILLION, 16_384, vllm=False)


@pytest.mark.parametrize("gpus", [None, [], [T4, T4]], ids=["here", "none", "two"])
def test_the_next_commands_are_commands(gpus: list[Gpu] | None) -> None:
    """Every one parses, with options that exist."""
    lines = next_steps() if gpus is None else steps_for(gpus, SEVEN_BILLION, 16_384, vllm=True)
    typed = [
        shlex.split(text) for text in "\n".join(lines).replace("\\\n", " ").splitlines() if text[0] == " "
    ]
    assert len(typed) >= 3
    for program, name, *words in typed:
        assert program == "reasonrank"
        with click.Context(group) as parent:
            command = group.get_command(parent, name)
            assert command is not None
            assert command.make_context(name, words, parent).params["output" if "-o" in words else "run"]
