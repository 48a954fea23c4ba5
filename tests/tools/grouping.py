"""PostgreSQL's own regression SQL through a real server: how well do our fingerprints agree with
its query_id? Prints V-measure, pairwise F1, the share of statements in identical groups, and the
heaviest differences. Slow (minutes) and adversarial: `make grouping`, not part of `make test`.

The SQL comes from Debian's source package and is kept in the cache, never in the repository.
There is no Debian source of 16, so a 16 server runs the SQL of 17.
"""

import collections
import glob
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# Server, Debian suite, source package, whether DML and all statements must reach (V, F1).
RUNS = {
    "16": ("trixie", "postgresql-17", {"all": (0.98, 0.91), "dml": (0.98, 0.97)}),
    "18": ("forky", "postgresql-18", {"all": (0.98, 0.98), "dml": (0.98, 0.97)}),
}
# Need a second cluster, other binaries, or minutes; tell nothing about grouping.
SKIPPED = {"tablespace", "stats", "vacuum_parallel", "compression", "compression_lz4"}
SETTINGS = """
logging_collector = on
log_destination = 'jsonlog'
log_directory = 'log'
log_filename = 'truth'
log_file_mode = 0644
log_rotation_size = 0
log_rotation_age = 0
log_min_duration_statement = 0
compute_query_id = on
fsync = off
max_connections = 50
max_prepared_transactions = 5
"""


def run(command, **more):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **more).stdout


def say(text):
    print(text, file=sys.stderr, flush=True)


def cache():
    return run(["bash", "-c", f'. "{HERE}/common.sh"; echo "$cache"']).strip()


def sources(suite, package):
    """The folder src/test/regress of a Debian source package."""
    home = f"{cache()}/regress-{package}"
    if os.path.isdir(f"{home}/sql"):
        return home
    say(f"fetching the source package {package} of Debian {suite}")
    with tempfile.TemporaryDirectory() as tmp:
        for folder in ("lists/partial", "archives/partial"):
            os.makedirs(f"{tmp}/{folder}")
        open(f"{tmp}/status", "w").close()
        keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
        with open(f"{tmp}/sources.list", "w") as file:
            file.write(f"deb-src [signed-by={keyring}] http://deb.debian.org/debian {suite} main\n")
        options = {
            "Dir::Etc::sourcelist": f"{tmp}/sources.list",
            "Dir::Etc::sourceparts": "/nonexistent",
            "Dir::State": tmp,
            "Dir::State::lists": f"{tmp}/lists",
            "Dir::State::status": f"{tmp}/status",
            "Dir::Cache": tmp,
            "APT::Sandbox::User": "root",
        }
        apt = ["apt-get", "-qq"] + [f"-o{key}={value}" for key, value in options.items()]
        run(apt + ["update"])
        run(apt + ["source", "--download-only", package], cwd=tmp)
        archive = glob.glob(f"{tmp}/*.orig.tar.*[!c]")[0]
        run(["tar", "xf", archive, "-C", tmp, "--wildcards", "*/src/test/regress/*"])
        shutil.copytree(glob.glob(f"{tmp}/*/src/test/regress")[0], home)
    subprocess.run(["chmod", "-R", "a+rX", home], check=True)
    return home


def as_server(command):
    return ["runuser", "-u", "postgres", "--"] + command if os.geteuid() == 0 else command


def collect(version, regress):
    """(text, query_id) of every statement that a server of this version ran."""
    server = run(["bash", f"{HERE}/postgres.sh", "--install", "--exactly", version]).strip()[7:]
    client = re.search("client=(.*)", run(["bash", f"{HERE}/postgres.sh"])).group(1)
    tmp = tempfile.mkdtemp(prefix="grouping.")
    os.chmod(tmp, 0o777)
    data, work = f"{tmp}/data", f"{tmp}/regress"
    shutil.copytree(regress, work)
    subprocess.run(["chmod", "-R", "a+rwX", work], check=True)
    run(as_server([f"{server}/initdb", "-N", "-U", "postgres", "--locale=C", "-E", "UTF8", "-D", data]))
    with open(f"{data}/postgresql.conf", "a") as file:
        file.write(SETTINGS)
    port = str(20000 + os.getpid() % 20000)
    started = subprocess.Popen(
        as_server([f"{server}/postgres", "-D", data, "-p", port, "-k", tmp, "-c", "listen_addresses="]),
        stderr=subprocess.DEVNULL,
    )
    try:
        psql = [f"{client}/psql", "-X", "-q", "-h", tmp, "-p", port, "-U", "postgres"]
        deadline = time.time() + 30
        while subprocess.run(psql + ["-c", "create database regression"], stderr=subprocess.DEVNULL).returncode:
            assert time.time() < deadline, "the server does not start"
            time.sleep(0.3)
        names = []
        for line in open(f"{work}/parallel_schedule"):
            if line.startswith("test:"):
                names += [name for name in line[5:].split() if name not in SKIPPED]
        environment = dict(
            os.environ, PG_ABS_SRCDIR=work, PG_LIBDIR=f"{server}/../lib", PG_DLSUFFIX=".so", PG_ABS_BUILDDIR=work,
            PGTZ="America/Los_Angeles", PGDATESTYLE="Postgres, MDY",
        )
        for name in names:
            command = psql + ["-a", "-d", "regression", "-v", "HIDE_TABLEAM=on", "-f", f"{work}/sql/{name}.sql"]
            try:
                subprocess.run(
                    command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60
                )
            except subprocess.TimeoutExpired:
                say(f"{name}: took too long")
        time.sleep(1)
        return told(f"{data}/log/truth.json")
    finally:
        started.terminate()
        started.wait()
        shutil.rmtree(tmp, ignore_errors=True)


def told(path):
    found = []
    for line in open(path, encoding="utf-8", errors="surrogateescape"):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        match = re.match(r"duration: [0-9.]+ ms  statement: (.*)", entry.get("message", ""), re.S)
        if match and entry.get("query_id"):
            found.append((match.group(1), entry["query_id"]))
    return found


def fingerprints(texts, strict):
    binary = os.environ.get("PGWEIR_BIN") or sys.exit("PGWEIR_BIN is not set; use make grouping")
    data = b"".join(text.encode("utf-8", "surrogateescape").replace(b"\0", b"") + b"\0" for text in texts)
    out = subprocess.run(
        [binary, "--fingerprint"] + strict, input=data, stdout=subprocess.PIPE, check=True
    ).stdout
    # A quoted name may hold any line separator but the line break.
    lines = out.decode("utf-8", "replace").split("\n")[:-1]
    assert len(lines) == len(texts), (len(lines), len(texts))
    return [line.split("\t", 1) for line in lines]


def agreement(rows):
    """rows: (ours, theirs, text)"""
    total = len(rows)
    both = collections.Counter((ours, theirs) for ours, theirs, _ in rows)
    ours = collections.Counter(ours for ours, _, _ in rows)
    theirs = collections.Counter(theirs for _, theirs, _ in rows)
    entropy = lambda sizes: -sum(n / total * math.log(n / total) for n in sizes)
    joint, h_ours, h_theirs = entropy(both.values()), entropy(ours.values()), entropy(theirs.values())
    homogeneity = 1 - (joint - h_ours) / h_theirs
    completeness = 1 - (joint - h_theirs) / h_ours
    pairs = lambda sizes: sum(n * (n - 1) / 2 for n in sizes)
    common = pairs(both.values())
    precision, recall = common / pairs(ours.values()), common / pairs(theirs.values())
    exact = sum(n for (a, b), n in both.items() if ours[a] == n == theirs[b]) / total
    return {
        "statements": total,
        "theirs": len(theirs),
        "ours": len(ours),
        "V": 2 * homogeneity * completeness / (homogeneity + completeness),
        "F1": 2 * precision * recall / (precision + recall),
        "exact": exact,
    }


def show(rows, count=20):
    for name, mine, other in (("splits (theirs one, ours several)", 1, 0), ("merges (ours one, theirs several)", 0, 1)):
        groups = collections.defaultdict(lambda: collections.defaultdict(list))
        for row in rows:
            groups[row[mine]][row[other]].append(row[2])
        several = [group for group in groups.values() if len(group) > 1]
        weight = lambda group: sum(map(len, group.values())) - max(map(len, group.values()))
        several.sort(key=weight, reverse=True)
        print(f"\n{name}: {len(several)}")
        for group in several[:count]:
            parts = sorted(group.values(), key=len, reverse=True)[:3]
            print(f"  {weight(group)} in {len(group)}: " + "  |  ".join(repr(part[0][:110]) for part in parts))


def main():
    is_met = True
    for version in sys.argv[1:] or ["18", "16"]:
        suite, package, bars = RUNS[version]
        sample = collect(version, sources(suite, package))
        for strict in (["--strict", version], []):
            lines = fingerprints([text for text, _ in sample], strict)
            rows = [
                (ours, theirs, text)
                for (text, theirs), (ours, _) in zip(sample, lines)
                if "," not in ours
            ]
            dml = [row for row in rows if re.match(r"\W*(select|insert|update|delete|with|values|merge|table)\b", row[2], re.I)]
            for kind, part in (("all", rows), ("dml", dml)):
                found = agreement(part)
                told_as = " ".join(f"{key} {value:.4f}" if isinstance(value, float) else f"{key} {value}" for key, value in found.items())
                print(f"PostgreSQL {version}, {' '.join(strict) or 'default'}, {kind}: {told_as}", flush=True)
                v, f1 = bars[kind]
                is_met &= not strict or (found["V"] >= v and found["F1"] >= f1)
            if strict:
                show(rows)
    sys.exit(0 if is_met else "the bars are not met")


main()
