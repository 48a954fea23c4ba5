#!/usr/bin/env bash
# Prints the path of promtool, which checks alert rules and PromQL. With --install, fetches it:
# unpacked from Debian's package `prometheus` into the cache (nothing is installed, no service
# starts), else from the distribution's package. Fails with a reason where it cannot be had.
set -euo pipefail
. "$(dirname "$0")/common.sh"
install=0
[ "${1:-}" = "--install" ] && install=1

home=$cache/prometheus
works() { "$1" --version >/dev/null 2>&1; }
found() { works "$1" && { command -v "$1"; exit 0; }; }

found "${PGWEIR_PROMTOOL:-promtool}" || true
found "$home/promtool" || true
[ $install = 1 ] || die "no promtool (make test fetches it; or: apt-get install prometheus)"

if unpack_debian bookworm "$home" prometheus; then
    mv "$home/usr/bin/promtool" "$home/promtool"
    rm -rf "$home/usr"
    found "$home/promtool" || say "Debian's promtool does not run here"
fi
apt_install prometheus && found promtool || true
die "promtool cannot be had; Debian/Ubuntu: apt-get install prometheus, or set PGWEIR_PROMTOOL"
