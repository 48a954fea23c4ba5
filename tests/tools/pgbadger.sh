#!/usr/bin/env bash
# Prints the command that runs pgbadger, which reads the slow log. With --install, fetches it: the
# distribution's package, else unpacked from Debian's into the cache (it is one Perl script). Fails
# with a reason where it cannot be had.
set -euo pipefail
. "$(dirname "$0")/common.sh"
install=0
[ "${1:-}" = "--install" ] && install=1

home=$cache/pgbadger
works() { "$1" --version >/dev/null 2>&1; }
found() { works "$1" && { command -v "$1"; exit 0; }; }

found "${PGWEIR_PGBADGER:-pgbadger}" || true
found "$home/pgbadger" || true
[ $install = 1 ] || die "no pgbadger (make test fetches it; or: apt-get install pgbadger)"

apt_install pgbadger && found pgbadger || true
if has perl && unpack_debian bookworm "$home" pgbadger; then
    ln -s usr/bin/pgbadger "$home/pgbadger"
    found "$home/pgbadger" || say "Debian's pgbadger does not run here"
fi
die "pgbadger cannot be had; Debian/Ubuntu: apt-get install pgbadger, or set PGWEIR_PGBADGER"
