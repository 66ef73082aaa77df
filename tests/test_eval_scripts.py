"""The scripts of eval/ still find every name of the package that they import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EVAL = Path(__file__).resolve().parents[1] / "eval"


@pytest.mark.parametrize("folder", ["bench", "nano", "quickstart", "reproduction"])
def test_every_script_can_be_imported(folder: str) -> None:
    names = sorted(path.stem for path in (EVAL / folder).glob("*.py"))
    assert names
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)",
            *names,
        ],
        cwd=EVAL / folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
