"""`reasonrank` in this process: what a command prints and returns, where no signal or kill is tested."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from unittest.mock import patch

import pytest

from reasonrank_pyserini.cli import main


def reasonrank(
    *arguments: object, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The command's exit status and output, as if typed in `folder` with these variables; never a traceback."""
    words = [str(argument) for argument in arguments]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(folder or Path.cwd()))
        if environment is not None:
            stack.enter_context(patch.dict(os.environ, environment))
            stack.enter_context(_hub(environment))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        with pytest.raises(SystemExit) as end:
            main(words)
    assert isinstance(end.value.code, int)
    return subprocess.CompletedProcess(words, end.value.code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _hub(environment: Mapping[str, str]) -> Iterator[None]:
    """What huggingface_hub reads off the environment once, when it is imported."""
    from huggingface_hub import constants

    endpoint = environment.get("HF_ENDPOINT", constants.ENDPOINT)
    home = Path(environment.get("HF_HOME", constants.HF_HOME))
    settings = {
        "ENDPOINT": endpoint,
        "HUGGINGFACE_CO_URL_TEMPLATE": endpoint + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HOME": str(home),
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_HUB_OFFLINE": environment.get("HF_HUB_OFFLINE") == "1",
        "HF_HUB_DISABLE_XET": environment.get("HF_HUB_DISABLE_XET") == "1",
    }
    with patch.multiple(constants, **settings):
        yield
