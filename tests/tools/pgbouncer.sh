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
    has apt-get && has dpkg || die "needs apt-get and dpkg to fetch PgBouncer of Debian $suite"
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -r "$keyring" ] || die "needs $keyring (package debian-archive-keyring)"
    tmp=$(mktemp -d "$cache/apt.XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
    mkdir -p "$tmp"/{lists/partial,archives/partial,debs,root}
    : >"$tmp/status"
    echo "deb [signed-by=$keyring] http://deb.debian.org/debian $suite main" >"$tmp/sources.list"
    apt=(apt-get -qq -o "Dir::Etc::sourcelist=$tmp/sources.list" -o Dir::Etc::sourceparts=/nonexistent
        -o "Dir::State=$tmp" -o "Dir::State::lists=$tmp/lists" -o "Dir::State::status=$tmp/status"
        -o "Dir::Cache=$tmp" -o "Dir::Cache::archives=$tmp/archives")
    [ "$(id -u)" = 0 ] && apt+=(-o APT::Sandbox::User=root)
    say "fetching PgBouncer of Debian $suite"
    "${apt[@]}" update >&2 || die "apt-get update for $suite failed"
    (cd "$tmp/debs" && "${apt[@]}" download pgbouncer libc6 libcares2 libevent-2.1-7t64 libldap2 \
        libpam0g libssl3t64 libsystemd0 libaudit1 libcap-ng0 libcap2 libsasl2-2 libzstd1 \
        libgcrypt20 libgpg-error0 liblz4-1 liblzma5 zlib1g >&2) || die "download from $suite failed"
    for deb in "$tmp"/debs/*.deb; do dpkg -x "$deb" "$tmp/root"; done
    rm -rf "$home"
    mkdir -p "$home"
    mv "$tmp/root/usr" "$home/usr"
    cat >"$home/pgbouncer" <<WRAP
#!/bin/sh
exec $home/usr/lib64/ld-linux-x86-64.so.2 --library-path $home/usr/lib/x86_64-linux-gnu $home/usr/sbin/pgbouncer "\$@"
WRAP
    chmod -R a+rX "$home"
    chmod a+x "$home/pgbouncer"
fi
"$home/pgbouncer" -V >/dev/null || die "the unpacked PgBouncer of $suite does not run here"
echo "$home/pgbouncer"
