# Shared by the scripts in this folder; sourced, never run.
# Everything they fetch is kept in one cache folder, so a second run needs no network.

if [ -n "${PGWEIR_CACHE:-}" ]; then
    cache=$PGWEIR_CACHE
elif [ "$(id -u)" = 0 ]; then
    # Not /root: PostgreSQL refuses root and runs as an account that cannot read there.
    cache=/var/cache/pgweir
else
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/pgweir
fi
mkdir -p "$cache"
chmod a+rx "$cache"

say() { echo "$(basename "$0"): $*" >&2; }
die() { say "$*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# Installs Debian packages if we may (root, or sudo without a password); fails otherwise.
apt_install() {
    has apt-get || return 1
    local run=
    if [ "$(id -u)" != 0 ]; then
        has sudo && sudo -n true 2>/dev/null || return 1
        run="sudo -n"
    fi
    if [ ! -e "$cache/.apt-updated" ] || [ -n "$(find "$cache/.apt-updated" -mmin +600)" ]; then
        $run apt-get update -qq >&2 || return 1
        touch "$cache/.apt-updated"
    fi
    # No cluster of its own: the server package would otherwise create and start one.
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        $run mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' | $run tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    DEBIAN_FRONTEND=noninteractive $run apt-get install -y -qq --no-install-recommends "$@" >&2
}

# Unpacks packages of a newer Debian release into a folder of the cache; nothing is installed.
# Their programs need that release's C library: `unpacked_program` wraps them in its loader.
unpack_debian() {
    local suite=$1 home=$2 keyring=/usr/share/keyrings/debian-archive-keyring.gpg tmp deb
    shift 2
    has apt-get && has dpkg || { say "needs apt-get and dpkg to fetch packages of Debian $suite"; return 1; }
    [ -r "$keyring" ] || { say "needs $keyring (package debian-archive-keyring)"; return 1; }
    tmp=$(mktemp -d "$cache/apt.XXXXXX")
    mkdir -p "$tmp"/{lists/partial,archives/partial,debs,root}
    : >"$tmp/status"
    echo "deb [signed-by=$keyring] http://deb.debian.org/debian $suite main" >"$tmp/sources.list"
    local apt=(apt-get -qq -o "Dir::Etc::sourcelist=$tmp/sources.list" -o Dir::Etc::sourceparts=/nonexistent
        -o "Dir::State=$tmp" -o "Dir::State::lists=$tmp/lists" -o "Dir::State::status=$tmp/status"
        -o "Dir::Cache=$tmp" -o "Dir::Cache::archives=$tmp/archives")
    [ "$(id -u)" = 0 ] && apt+=(-o APT::Sandbox::User=root)
    say "fetching $1 of Debian $suite"
    if ! "${apt[@]}" update >&2 || ! (cd "$tmp/debs" && "${apt[@]}" download "$@" >&2); then
        rm -rf "$tmp"
        say "packages of Debian $suite cannot be fetched"
        return 1
    fi
    for deb in "$tmp"/debs/*.deb; do dpkg -x "$deb" "$tmp/root"; done
    rm -rf "$home"
    mkdir -p "$home"
    mv "$tmp/root/usr" "$home/usr"
    chmod -R a+rX "$home"
    rm -rf "$tmp"
}

unpacked_program() {
    local home=$1 program=$2 wrapper=$3
    cat >"$wrapper" <<WRAP
#!/bin/sh
exec $home/usr/lib64/ld-linux-x86-64.so.2 --library-path $home/usr/lib/x86_64-linux-gnu $home/$program "\$@"
WRAP
    chmod a+rx "$wrapper"
}
