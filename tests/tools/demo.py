"""make demo: a throw-away PostgreSQL, pgweir on the dairy set-up with TLS, an Odoo-shaped load.

Everything lives in one temporary folder and ends with this program: on Ctrl-C, after the given
duration, or when it is killed.
"""

import argparse
import ctypes
import multiprocessing
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import psycopg2

import odoo_load

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATABASE, USER, PASSWORD = "smart_dairy_prod", "odoo_app", "milk-and-honey"
ADMIN, ADMIN_PASSWORD = "pgbouncer_admin", "look-around"
STATS, STATS_PASSWORD = "pgbouncer_stats", "only-look"


def say(text=""):
    print(text, flush=True)


def account():
    """Servers refuse root: another account when we are root."""
    if os.geteuid() != 0:
        return None
    for name in [os.environ.get("PGWEIR_TEST_USER"), "postgres", "nobody"]:
        try:
            if name:
                return pwd.getpwnam(name)
        except KeyError:
            continue
    sys.exit("demo: running as root and there is no account postgres or nobody to switch to")


def child(farewell):
    """Runs in a new process: own group (Ctrl-C is for us), other account, ends when we die."""
    who = account()

    def prepare():
        os.setpgid(0, 0)
        if who:
            os.setgroups([])
            os.setgid(who.pw_gid)
            os.setuid(who.pw_uid)
        ctypes.CDLL(None).prctl(1, farewell)

    return prepare


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tools():
    out = subprocess.run(["bash", str(ROOT / "tests/tools/postgres.sh"), "--install"],
                         stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    if out.returncode != 0:
        sys.exit(1)
    found = dict(line.split("=", 1) for line in out.stdout.splitlines())
    return pathlib.Path(found["server"]), pathlib.Path(found["client"])


class Demo:
    def __init__(self, options):
        self.options = options
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="pgweir-demo-", dir="/tmp"))
        self.give(self.dir, 0o755)
        self.server, self.client = tools()
        self.pg_port, self.port, self.http_port = free_port(), free_port(), free_port()
        self.running = []

    def give(self, path, mode):
        os.chmod(path, mode)
        who = account()
        if who:
            os.chown(path, who.pw_uid, who.pw_gid)

    def write(self, name, text):
        path = self.dir / name
        path.write_text(text)
        self.give(path, 0o600)
        return path

    def start(self, name, command, farewell):
        log = open(self.dir / f"{name}.log", "ab")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.dir,
                                   env={**os.environ, "LC_ALL": "C"}, preexec_fn=child(farewell))
        self.running.append((process, farewell))
        return process

    def fail(self, what, log):
        tail = (self.dir / f"{log}.log").read_text(errors="replace").splitlines()[-15:]
        raise SystemExit("demo: " + what + "\n  " + "\n  ".join(tail))

    def once(self, name, command):
        if self.start(name, command, signal.SIGKILL).wait() != 0:
            self.fail(f"{command[0]} failed", name)
        self.running.pop()

    def postgres(self):
        data = self.dir / "data"
        self.once("initdb", [str(self.server / "initdb"), "--no-sync", "--no-locale", "-E", "UTF8", "-U", "postgres",
                             "-A", "trust", "--no-instructions", "-D", str(data)])
        with open(data / "postgresql.conf", "a") as conf:
            # The documented server allows 500 connections; durability is no use to a throw-away.
            conf.write("max_connections = 500\nshared_buffers = 128MB\nfsync = off\nsynchronous_commit = off\n"
                       f"listen_addresses = '127.0.0.1'\nport = {self.pg_port}\n"
                       f"unix_socket_directories = '{self.dir}'\npassword_encryption = 'scram-sha-256'\n")
        (data / "pg_hba.conf").write_text("local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        process = self.start("postgres", [str(self.server / "postgres"), "-D", str(data)], signal.SIGQUIT)
        for _ in range(200):
            if process.poll() is not None:
                self.fail("PostgreSQL ended", "postgres")
            try:
                admin = psycopg2.connect(host=str(self.dir), port=self.pg_port, user="postgres", dbname="postgres")
                break
            except psycopg2.OperationalError:
                time.sleep(0.1)
        else:
            self.fail("PostgreSQL does not answer", "postgres")
        admin.autocommit = True
        with admin.cursor() as cursor:
            cursor.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
            cursor.execute(f"CREATE DATABASE {DATABASE} OWNER {USER}")
            cursor.execute("SHOW server_version")
            say(f"PostgreSQL {cursor.fetchone()[0]} on port {self.pg_port}")
        admin.close()

    def configuration(self):
        """The documented files as they stand; only what names another machine is replaced."""
        ini = (ROOT / "config/dairy/pgbouncer.ini").read_text()
        ini = re.sub(r"host=\S+ port=\d+", f"host=127.0.0.1 port={self.pg_port}", ini)
        ini = re.sub(r"(?m)^listen_port\s*=.*$", f"listen_port = {self.port}", ini)
        ini = re.sub(r"(?m)^listen_addr\s*=.*$", "listen_addr = 127.0.0.1", ini)
        ini = re.sub(r"(?m)^auth_file\s*=.*$", f"auth_file = {self.dir}/userlist.txt", ini)
        own = (ROOT / "config/dairy/pgweir.ini").read_text()
        own = re.sub(r"(?m)^%include .*$", f"%include {self.dir}/pgbouncer.ini\nunix_socket_dir = {self.dir}", own)
        own = re.sub(r"(?m)^http_addr\s*=.*$", f"http_addr = 127.0.0.1:{self.http_port}", own)
        self.write("pgbouncer.ini", ini)
        self.write("userlist.txt", f'"{USER}" "{PASSWORD}"\n"{ADMIN}" "{ADMIN_PASSWORD}"\n'
                                   f'"{STATS}" "{STATS_PASSWORD}"\n')
        return self.write("pgweir.ini", own)

    def pgweir(self):
        binary = self.dir / "pgweir"
        shutil.copy(self.options.binary, binary)
        self.give(binary, 0o755)
        process = self.start("pgweir", [str(binary), str(self.configuration())], signal.SIGKILL)
        for _ in range(100):
            if process.poll() is not None:
                self.fail("pgweir ended", "pgweir")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            self.fail("pgweir does not listen", "pgweir")
        say(f"pgweir on port {self.port} with config/dairy (TLS required, transaction mode, pool of 100)")

    def connect(self, database, user, password):
        return psycopg2.connect(host="127.0.0.1", port=self.port, dbname=database, user=user, password=password,
                                sslmode="require", connect_timeout=10)

    def screen(self, command, columns=None):
        """One console screen, only some columns of it."""
        console = self.connect("pgbouncer", ADMIN, ADMIN_PASSWORD)
        console.autocommit = True
        with console.cursor() as cursor:
            cursor.execute(command)
            names = [column.name for column in cursor.description]
            rows = [["" if cell is None else str(cell) for cell in row] for row in cursor.fetchall()]
        console.close()
        keep = [names.index(name) for name in columns or names if name in names]
        table = [[names[n] for n in keep]] + [[row[n] for n in keep] for row in rows]
        widths = [max(len(line[n]) for line in table) for n in range(len(keep))]
        return "\n".join("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
                         for line in table)

    def hints(self):
        say("\nLook around from another terminal:")
        psql = f"{self.client}/psql 'host=127.0.0.1 port={self.port} sslmode=require"
        say(f"  PGPASSWORD={ADMIN_PASSWORD} {psql} user={ADMIN} dbname=pgbouncer' -c 'show pools'")
        say("      also: show statements, show activity, show blocked, show clients, show help")
        say(f"  PGPASSWORD={PASSWORD} {psql} user={USER} dbname={DATABASE}'")
        say(f"  curl http://127.0.0.1:{self.http_port}/metrics")
        say(f"  pgweir's log: {self.dir}/pgweir.log\n")

    def progress(self, began):
        def show(last):
            counts, errors, mixups = odoo_load.totals(last)
            spent = time.monotonic() - began
            say(f"{spent:6.0f} s  {counts.get('requests', 0):7} requests  {counts.get('transactions', 0):7} transactions"
                f"  {counts.get('connects', 0):5} connects  {counts.get('retries', 0):4} retries"
                f"  {sum(errors.values())} errors  {len(mixups)} mix-ups")
            try:
                self.pools()
            except psycopg2.Error as error:
                say(f"         the console does not answer: {str(error).strip()}")
        return show

    def pools(self):
        wanted = ["database", "user", "cl_active", "cl_waiting", "sv_active", "sv_idle", "sv_used", "maxwait"]
        lines = self.screen("show pools", wanted).splitlines()
        say("\n".join([lines[0]] + [line for line in lines[1:] if DATABASE in line]))

    def load(self):
        connection = self.connect(DATABASE, USER, PASSWORD)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(odoo_load.SCHEMA)
        connection.autocommit = False
        words = ["--port", str(self.port), "--user", USER, "--password", PASSWORD, "--database", DATABASE,
                 "--sslmode", "require", "--strict", "--workers", str(self.options.workers)]
        options = odoo_load.arguments().parse_args(words)
        options.seconds = self.options.duration or 10 ** 9
        stopped = multiprocessing.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        say(f"{options.workers} Odoo-like processes, "
            + (f"{self.options.duration:g} s" if self.options.duration else "until Ctrl-C"))
        last, broken = odoo_load.drive(options, stopped, self.progress(time.monotonic()))
        broken += odoo_load.check(connection, last)
        return last, broken

    def summary(self, last, broken):
        counts, errors, mixups = odoo_load.totals(last)
        say("\nWhat it saw")
        say("  " + ", ".join(f"{value} {key}" for key, value in counts.items()))
        for error, count in sorted(errors.items()):
            say(f"  error x{count}: {error}")
        say(f"  errors: {sum(errors.values())}, mix-ups: {len(mixups)}, broken invariants: {len(broken)}")
        for line in (mixups + broken)[:10]:
            say(f"  BROKEN {line}")
        say("\nshow pools\n" + self.screen("show pools", [
            "database", "user", "cl_active", "cl_waiting", "sv_active", "sv_idle", "sv_used", "maxwait", "pool_mode"]))
        say("\nshow statements limit 5\n" + self.screen("show statements limit 5", [
            "fingerprint", "pct", "calls", "errors", "mean_ms", "p95_ms", "query"]))
        say("\nshow stats_totals\n" + self.screen("show stats_totals", [
            "database", "server_assignment_count", "xact_count", "query_count", "bytes_received", "bytes_sent",
            "wait_time", "client_login_count"]))
        log = (self.dir / "pgweir.log").read_text(errors="replace")
        warnings = [line for line in log.splitlines() if " WARNING " in line or " ERROR " in line]
        say(f"\npgweir's log: {len(warnings)} warnings and errors")
        for line in warnings[:5]:
            say("  " + line)
        return not (mixups or broken)

    def run(self):
        self.postgres()
        self.pgweir()
        self.hints()
        last, broken = self.load()
        good = self.summary(last, broken)
        return 0 if good else 1

    def end(self):
        for process, farewell in reversed(self.running):
            if process.poll() is None:
                process.send_signal(farewell)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
        say("Everything is stopped and removed.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("duration", nargs="?", type=lambda text: float(text) if text else 0, default=0,
                        help="seconds; without it, until Ctrl-C")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--binary", default=os.environ.get("PGWEIR_BIN") or str(ROOT / "target/release/pgweir"))
    options = parser.parse_args()
    if not os.access(options.binary, os.X_OK):
        sys.exit(f"demo: no binary at {options.binary}; make demo builds it")
    demo = Demo(options)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return demo.run()
    except KeyboardInterrupt:
        return 130
    finally:
        demo.end()


if __name__ == "__main__":
    sys.exit(main())
