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
