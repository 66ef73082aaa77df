"""What pyproject.toml declares is what the package imports: nothing missing, nothing left over, each with a bound."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from reasonrank_pyserini.lazy import INSTALL

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "reasonrank_pyserini"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DISTRIBUTIONS = {"faiss": "faiss-cpu", "jnius": "pyjnius", "jnius_config": "pyjnius"}
"""Packages whose distribution has another name."""
BROUGHT = {"uvicorn": "mcp"}
"""Packages that come with a declared one, and are imported by name only."""
EXTRAS = {
    "vllm": ("engines/vllm",),
    "ray": ("engines/vllm",),
    "dense": ("first_stages",),
    "serve": ("server",),
    "train": ("training",),
    "pyterrier": ("adapters",),
    "mteb": ("adapters",),
    "mcp": ("adapters",),
}
"""Where an extra's packages may be imported; elsewhere only by name: `require`, or whether they are there."""
BY_NAME = {"require", "import_module", "find_spec", "import_pyserini"}
NOT_IMPORTED: dict[str, str] = {}
"""Requirements that nothing imports, with the reason for having them."""


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]


def distribution(module: str) -> str:
    top = module.partition(".")[0]
    return DISTRIBUTIONS.get(top, top.replace("_", "-"))


def imported(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """(distribution, whether by name) of everything imported from outside the package and the standard library."""
    for node in ast.walk(tree):
        modules: list[tuple[str, bool]] = []
        if isinstance(node, ast.Import):
            modules = [(alias.name, False) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules = [(node.module or "", False)]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            modules = [(str(node.args[0].value), True)] if called in BY_NAME else []
        for module, by_name in modules:
            if module.partition(".")[0] not in {*sys.stdlib_module_names, "_typeshed"}:
                yield distribution(module), by_name


FOUND = {
    path.relative_to(PACKAGE).as_posix(): set(imported(ast.parse(path.read_text())))
    for path in sorted(PACKAGE.rglob("*.py"))
}
REQUIRED = {name_of(line) for line in PROJECT["dependencies"]}
OPTIONAL = {extra: {name_of(line) for line in PROJECT["optional-dependencies"][extra]} for extra in EXTRAS}


def test_imports_are_read() -> None:
    source = (
        "import numpy.linalg, os\nfrom jnius import autoclass\nfrom . import x\nrequire('peft', 'LoRA')\n"
    )
    assert set(imported(ast.parse(source))) == {("numpy", False), ("pyjnius", False), ("peft", True)}


@pytest.mark.parametrize("path", [path for path, found in FOUND.items() if found])
def test_every_import_is_declared(path: str) -> None:
    for imported_package, by_name in FOUND[path]:
        package = BROUGHT.get(imported_package, imported_package) if by_name else imported_package
        extra = next((extra for extra, packages in OPTIONAL.items() if package in packages), None)
        if extra is None:
            assert package in REQUIRED, f"{path} imports {package}: declare it"
        else:
            in_its_room = path.startswith(EXTRAS[extra])
            assert by_name or in_its_room, f"{path} imports {package} of the extra {extra}: use lazy.require"


def test_every_declared_package_is_imported() -> None:
    declared = REQUIRED.union(*OPTIONAL.values())
    used = {package for found in FOUND.values() for package, _ in found}
    assert declared - used == NOT_IMPORTED.keys()


def test_every_requirement_has_a_lower_bound_and_a_reason() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    groups = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in EXTRAS)]
    for requirement in [requirement for group in groups for requirement in group]:
        assert ">=" in requirement, requirement
        (line,) = [line for line in lines if f'"{requirement}"' in line]
        assert "#" in line, f"{requirement}: say why"


def test_a_missing_extra_says_what_to_install() -> None:
    hints = {distribution(module): hint for module, hint in INSTALL.items()}
    for extra, packages in OPTIONAL.items():
        for package in packages:
            assert f"reasonrank-pyserini[{extra}]" in hints[package]
