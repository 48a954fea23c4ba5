#!/usr/bin/env bash
# Prints the path of a PgBouncer to compare with. Argument: a Debian suite (default trixie, 1.24;
# sid has a newer one) or `system` for the installed package. The packages of a newer suite are
# downloaded and unpacked into the cache, and started through their own loader: nothing is
# installed on the machine. Fails with a reason where that cannot be had.
set -euo pipefail
. "$(dirname "$0")/common.sh"
suite=${1:-trixie}

if [ "$suite" = system ]; then
    for p in /usr/sbin/pgbouncer /usr/bin/pgbouncer; do [ -x "$p" ] && { echo "$p"; exit 0; }; done
    apt_install pgbouncer >/dev/null && [ -x /usr/sbin/pgbouncer ] && { echo /usr/sbin/pgbouncer; exit 0; }
    die "no pgbouncer installed (apt-get install pgbouncer)"
fi

home=$cache/pgbouncer-$suite
if [ ! -x "$home/pgbouncer" ]; then
    unpack_debian "$suite" "$home" pgbouncer libc6 libcares2 libevent-2.1-7t64 libldap2 libpam0g \
        libssl3t64 libsystemd0 libaudit1 libcap-ng0 libcap2 libsasl2-2 libzstd1 libgcrypt20 \
        libgpg-error0 liblz4-1 liblzma5 zlib1g || die "no PgBouncer of Debian $suite"
    unpacked_program "$home" usr/sbin/pgbouncer "$home/pgbouncer"
fi
"$home/pgbouncer" -V >/dev/null || die "the unpacked PgBouncer of $suite does not run here"
echo "$home/pgbouncer"
