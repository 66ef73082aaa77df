# Sourced by the other scripts: goes to the root of the clone and installs the package there, into .venv if no
# environment is active.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -z "${VIRTUAL_ENV:-}" ]; then
    [ -d .venv ] || python3 -m venv .venv
    . .venv/bin/activate
fi
python -m pip install --quiet --upgrade pip
python -m pip install --quiet --editable "."
