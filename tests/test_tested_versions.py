"""The versions that were run: within what pyproject.toml allows, and what `reasonrank env` says of the others."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from commands import reasonrank
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from reasonrank_pyserini.first_stages.java import OFFLINE_PYSERINI
from reasonrank_pyserini.jobs.manifest import environment
from reasonrank_pyserini.jobs.tested_versions import JAVA, PACKAGES, PYTHON, untested

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENTS = {
    canonicalize_name(requirement.name): requirement
    for line in [
        *PROJECT["dependencies"],
        *EXTRAS["vllm"],
        *EXTRAS["dense"],
        *EXTRAS["mcp"],
        *EXTRAS["mteb"],
        *EXTRAS["pyterrier"],
        *EXTRAS["serve"],
        *EXTRAS["train"],
    ]
    if (requirement := Requirement(line))
}


@pytest.mark.parametrize("name", PACKAGES)
def test_what_was_run_is_allowed(name: str) -> None:
    allowed = REQUIREMENTS[name.removesuffix("-cpu") if name.startswith("vllm") else name].specifier
    for version in (PACKAGES[name].first, PACKAGES[name].last):
        newest_of_it = f"{version}.9999" if "." in version else f"{version}.9999.9999"
        assert allowed.contains(newest_of_it), f"{name} {version} was run, {allowed} is allowed"


def test_every_package_with_an_upper_bound_is_listed() -> None:
    bounded = {name for name, requirement in REQUIREMENTS.items() if "<" in str(requirement.specifier)}
    assert bounded <= PACKAGES.keys()


def test_the_pyserini_that_is_advised_is_the_one_that_is_required() -> None:
    upper = next(bound for bound in REQUIREMENTS["pyserini"].specifier if bound.operator == "<")
    assert f"pyserini{upper}" == OFFLINE_PYSERINI


def test_the_classifiers_are_the_pythons_that_were_run() -> None:
    named = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if "Python :: 3." in line]
    assert (named[0], named[-1]) == (PYTHON.first, PYTHON.last)
    assert PROJECT["requires-python"] == f">={PYTHON.first}"


def test_versions_within_the_tested_ones_are_not_named() -> None:
    within = {"pyserini": "2.3.0", "torch": "2.13.0+cpu", "openai": "3.57.9", "click": "8.9", "unlisted": "1"}
    assert untested("3.13.5", "25.0.2", within) == {}
    assert untested("3.11.7", "21", {"vllm": "0.32.0"}) == {}


def test_versions_outside_are_named_with_what_was_tested() -> None:
    outside = {"pyserini": "2.4.0", "openai": "2.25.0", "transformers": "5.25.0rc1", "vllm": "0.32.0"}
    assert untested("3.14.0", "26-ea", outside) == {
        "python": f"3.14.0 (tested: {PYTHON})",
        "java": f"26-ea (tested: {JAVA})",
        "pyserini": f"2.4.0 (tested: {PACKAGES['pyserini']})",
        "openai": f"2.25.0 (tested: {PACKAGES['openai']})",
        "transformers": f"5.25.0rc1 (tested: {PACKAGES['transformers']})",
        "vllm": "0.32.0 with Python 3.14.0 (tested: up to Python 3.11)",
    }


def test_env_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = tmp_path / "openai-99.1.dist-info"
    newer.mkdir()
    (newer / "METADATA").write_text("Metadata-Version: 2.1\nName: openai\nVersion: 99.1\n")
    monkeypatch.syspath_prepend(tmp_path)
    said = f"99.1 (tested: {PACKAGES['openai']})"
    assert json.loads(reasonrank("env", "--json").stdout)["untested"]["openai"] == said
    assert f"openai                   {said}" in reasonrank("env").stdout


def test_a_password_in_an_address_stays_out_of_the_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REASONRANK_SERVER", "https://me:p@ss@hub.example/path?k=v")
    variables = environment()["variables"]
    assert variables["REASONRANK_SERVER"] == "https://***@hub.example/path?***"
