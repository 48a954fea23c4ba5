#!/usr/bin/env bash
# Prints the path of a Python that has psycopg2, in a virtual environment in the cache.
# With --install, makes it; without, fails with a reason where it is missing.
set -euo pipefail
. "$(dirname "$0")/common.sh"
install=0
[ "${1:-}" = "--install" ] && install=1

works() { "$1" -c 'import psycopg2' >/dev/null 2>&1; }
venv=$cache/venv

works "$venv/bin/python" && { echo "$venv/bin/python"; exit 0; }
if [ $install = 0 ]; then
    has python3 && works python3 && { command -v python3; exit 0; }
    die "no Python with psycopg2 (make test and make demo install one; or: pip install psycopg2-binary)"
fi
has python3 || apt_install python3 python3-venv || die "python3 is missing (apt-get install python3 python3-venv)"
if ! python3 -m venv --clear "$venv" >&2; then
    apt_install python3-venv && python3 -m venv --clear "$venv" >&2 ||
        die "python3 -m venv does not work (apt-get install python3-venv)"
fi
"$venv/bin/python" -m pip install --quiet psycopg2-binary >&2 ||
    die "pip could not install psycopg2-binary"
chmod -R a+rX "$venv"
echo "$venv/bin/python"
