"""The package as users get it: public names, wheel, command."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

import reasonrank_pyserini

ROOT = Path(__file__).parents[1]
NANO = (
    "README.md", "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors",
    "tokenizer.json", "tokenizer_config.json",
)  # fmt: skip
"""The files of the toy model."""


def test_the_public_surface_is_listed_sorted_and_there() -> None:
    names = reasonrank_pyserini.__all__
    assert sorted(names) == names
    assert {
        "Candidate", "Document", "Query", "Ranking", "ReasonRankSearcher", "Reranker", "SlidingWindow", "__version__",
        "ensure_java", "load_dataset", "read_run", "write_run",
    } <= set(names)  # fmt: skip
    for name in names:
        assert getattr(reasonrank_pyserini, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Rerankr'"):
        reasonrank_pyserini.Rerankr  # noqa: B018


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_carries_code_profiles_and_type_marker_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"reasonrank_pyserini"}
    for needed in (
        "py.typed", "models/profiles/reasonrank-7b.toml", "models/profiles/generic.toml",
        "reproduce/conditions/bright.toml", "reproduce/conditions/r2med.toml", "reproduce/conditions/beir.toml",
        "datasets/bright.toml", "datasets/r2med.toml", "evaluation/report/page.html", "evaluation/report/page.css",
        "evaluation/report/page.js", "datasets/nano/world.toml",
        *(f"models/nano/{name}" for name in NANO),
    ):  # fmt: skip
        assert f"reasonrank_pyserini/{needed}" in names
    assert wheel.stat().st_size < 4_000_000, "code and data are below 1 MB, the toy model is about 3 MB"


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    """Installed into a new environment that borrows this one's dependencies, run far from the sources."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True)
    (site / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "run.trec").write_text("q Q0 a 1 2.0 t\nq Q0 b 2 1.0 t\n")
    (empty / "qrels.txt").write_text("q 0 b 1\n")
    code = "import reasonrank_pyserini as r; print(r.__file__)"
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    options: dict[str, Any] = {"cwd": empty, "env": plain, "capture_output": True, "text": True}
    where = subprocess.run([python, "-c", code], check=True, **options).stdout
    assert where.startswith(str(site))
    command = [
        tmp_path / "venv" / "bin" / "reasonrank",
        "evaluate",
        "--run",
        "run.trec",
        "--qrels",
        "qrels.txt",
    ]
    done = subprocess.run([*command, "-m", "RR@10"], check=True, **options)
    assert "0.5000" in done.stdout
