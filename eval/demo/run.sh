#!/usr/bin/env bash
# The demo from a bare clone: installs the package, indexes, searches, reranks with the toy model nano, scores, reports.
# Sets up .venv if none is active. Arguments go to `reasonrank demo`; the files are in build/demo.
. "$(dirname "$0")/../environment.sh"
reasonrank demo -o "${OUT:-build/demo}" "$@"
