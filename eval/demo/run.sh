#!/usr/bin/env bash
# The demo from a bare clone: installs the package, indexes, searches, reranks with the toy model nano, scores, reports.
# Sets up .venv if none is active. Arguments go to `reasonrank demo`; the files are in build/demo.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ -z "${VIRTUAL_ENV:-}" ]; then
    [ -d .venv ] || python3 -m venv .venv
    . .venv/bin/activate
fi
python -m pip install --quiet --upgrade pip
python -m pip install --quiet --editable "."
reasonrank demo -o "${OUT:-build/demo}" "$@"
