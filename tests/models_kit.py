"""Shared by the tests of tokenizers and of the hub: a script in a fresh Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from reasonrank_pyserini.models import identity as models


def run_python(script: str, **environment: str) -> Any:
    """What a fresh Python prints as JSON for `script`, with these variables set."""
    env = {**os.environ, "PYTHONPATH": str(Path(models.__file__).parents[2]), **environment}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
