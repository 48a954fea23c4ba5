"""An Odoo-shaped load with invariants of its own.

Several processes, each with psycopg2 connections used as Odoo uses them: `reset()` (DISCARD ALL)
at every borrow, BEGIN ISOLATION LEVEL REPEATABLE READ as a round trip of its own, literals in the
text, thinking between statements, ROLLBACK after pure reads, retries on serialization failures,
now and then a new connection for a look at the catalog.

What must hold at the end, checked by `check`: milk moved between tanks is neither lost nor made,
every delivery a worker saw committed is there exactly once and in its order, every reading is
there, and no worker ever saw another one's marker or settings.
"""

import argparse
import json
import multiprocessing
import os
import queue
import random
import signal
import sys
import time
import uuid

import psycopg2
import psycopg2.extensions

RETRY = {"40001", "40P01", "55P03"}
TANKS = 12
LITERS = 10_000

SCHEMA = f"""
DROP SCHEMA IF EXISTS farm CASCADE;
CREATE SCHEMA farm;
CREATE TABLE farm.breed (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE farm.animal (
    id serial PRIMARY KEY, name text NOT NULL, rfid_tag text UNIQUE, breed_id int REFERENCES farm.breed,
    barn_id int, status text NOT NULL DEFAULT 'milking', write_date timestamp DEFAULT now());
CREATE TABLE farm.milk_production (
    id bigserial PRIMARY KEY, animal_id int NOT NULL REFERENCES farm.animal,
    production_date date NOT NULL DEFAULT current_date, session text, quantity_liters numeric(8, 2),
    fat_percentage numeric(4, 2), worker text NOT NULL);
CREATE INDEX ON farm.milk_production (animal_id, production_date);
CREATE TABLE farm.tank (id int PRIMARY KEY, name text, liters bigint NOT NULL CHECK (liters >= 0));
CREATE TABLE farm.delivery (
    id bigserial PRIMARY KEY, worker text NOT NULL, seq int NOT NULL, from_tank int, to_tank int,
    liters int, UNIQUE (worker, seq));
CREATE TABLE farm.signaling (id bigserial PRIMARY KEY, at timestamp DEFAULT now());
INSERT INTO farm.signaling DEFAULT VALUES;
INSERT INTO farm.breed (name) SELECT 'breed ' || n FROM generate_series(1, 8) n;
INSERT INTO farm.animal (name, rfid_tag, breed_id, barn_id)
    SELECT 'cow ' || n, 'E2003415020' || lpad(n::text, 5, '0'), 1 + n % 8, 1 + n % 5
    FROM generate_series(1, 500) n;
INSERT INTO farm.tank SELECT n, 'tank ' || n, {LITERS} FROM generate_series(1, {TANKS}) n;
"""


class Worker:
    """One Odoo process: a small pool of connections and the requests it serves."""

    def __init__(self, number, options):
        self.name = f"odoo-{os.getpid()}-{number}"
        self.options = options
        self.random = random.Random(number)
        self.idle = []
        self.marker = uuid.uuid4().hex
        self.counts = dict.fromkeys(
            ["requests", "transactions", "statements", "connects", "retries", "given_up", "committed", "readings"], 0)
        self.errors = {}
        self.mixups = []

    def connect(self, database=None):
        self.counts["connects"] += 1
        return psycopg2.connect(
            host=self.options.host, port=self.options.port, user=self.options.user,
            password=self.options.password, dbname=database or self.options.database,
            sslmode=self.options.sslmode, application_name=self.name, connect_timeout=30)

    def borrow(self):
        """As Odoo's pool does: reset() is the health check; a failing connection is dropped."""
        while self.idle:
            connection = self.idle.pop()
            try:
                connection.reset()
                break
            except psycopg2.OperationalError as error:
                self.fault("reset", error)
        else:
            connection = self.connect()
        connection.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_REPEATABLE_READ)
        return connection

    def fault(self, where, error):
        text = (str(error).strip().splitlines() or ["?"])[0]
        key = f"{where}: {getattr(error, 'pgcode', None) or ''} {text}"
        self.errors[key] = self.errors.get(key, 0) + 1

    def think(self):
        if self.options.think > 0:
            time.sleep(self.random.expovariate(1000.0 / self.options.think))

    def run(self, cursor, sql, values=None):
        self.counts["statements"] += 1
        cursor.execute(sql, values)

    def mine(self, cursor):
        """What came back must be ours, and so must the settings."""
        marker = f"{self.marker}-{self.counts['statements']}"
        self.run(cursor, "SELECT %s, current_setting('transaction_isolation')", (marker,))
        row = cursor.fetchone()
        if row != (marker, "repeatable read"):
            self.mixups.append(f"{self.name} asked for {marker} and got {row}")
        if self.options.strict:
            self.run(cursor, "SELECT current_setting('application_name')")
            if cursor.fetchone()[0] != self.name:
                self.mixups.append(f"{self.name} has lost its application_name")

    def signalling(self, connection):
        with connection.cursor() as cursor:
            self.run(cursor, "SELECT (SELECT max(id) FROM farm.signaling), (SELECT max(id) FROM farm.breed)")
            cursor.fetchone()
        self.counts["transactions"] += 1
        connection.rollback()

    def read(self, connection):
        with connection.cursor() as cursor:
            self.mine(cursor)
            barn = self.random.randint(1, 5)
            self.run(cursor, f'SELECT "animal"."id" FROM "farm"."animal" WHERE "animal"."barn_id" = {barn} LIMIT 80')
            ids = [row[0] for row in cursor.fetchall()]
            self.think()
            self.run(cursor, "SELECT a.id, a.name, a.rfid_tag, a.status, b.name FROM farm.animal a "
                     "JOIN farm.breed b ON b.id = a.breed_id WHERE a.id IN %s", (tuple(ids),))
            if {row[0] for row in cursor.fetchall()} != set(ids):
                self.mixups.append(f"{self.name}: other animals than asked for")
            self.think()
        self.counts["transactions"] += 1
        connection.rollback()

    def milk(self, connection):
        """A batch of readings, with a savepoint that is rolled back on purpose."""
        rows = [(self.random.randint(1, 500), self.random.randint(500, 3000) / 100, self.name)
                for _ in range(self.random.randint(1, 40))]
        with connection.cursor() as cursor:
            values = ",".join(cursor.mogrify("(%s, %s, %s)", row).decode() for row in rows)
            self.run(cursor, "INSERT INTO farm.milk_production (animal_id, quantity_liters, worker) "
                     f"VALUES {values} RETURNING id")
            cursor.fetchall()
            self.think()
            point = uuid.uuid1()
            self.run(cursor, f'SAVEPOINT "{point}"')
            try:
                self.run(cursor, "INSERT INTO farm.milk_production (animal_id, worker) VALUES (-1, %s)",
                         (self.name,))
            except psycopg2.IntegrityError as error:
                if error.diag.constraint_name != "milk_production_animal_id_fkey":
                    self.mixups.append(f"{self.name}: constraint {error.diag.constraint_name}")
                self.run(cursor, f'ROLLBACK TO SAVEPOINT "{point}"')
            self.run(cursor, f'RELEASE SAVEPOINT "{point}"')
        connection.commit()
        self.counts["transactions"] += 1
        self.counts["readings"] += len(rows)

    def deliver(self, connection):
        """Moves milk between two tanks."""
        source, target = self.random.sample(range(1, TANKS + 1), 2)
        liters = self.random.randint(1, 50)
        seq = self.counts["committed"] + 1
        with connection.cursor() as cursor:
            self.run(cursor, f"SELECT liters FROM farm.tank WHERE id = {source} FOR UPDATE")
            if cursor.fetchone()[0] < liters:
                connection.rollback()
                return
            self.think()
            self.run(cursor, f"UPDATE farm.tank SET liters = liters - {liters} WHERE id = {source}")
            self.run(cursor, f"UPDATE farm.tank SET liters = liters + {liters} WHERE id = {target}")
            self.run(cursor, "INSERT INTO farm.delivery (worker, seq, from_tank, to_tank, liters) "
                     "VALUES (%s, %s, %s, %s, %s) RETURNING seq", (self.name, seq, source, target, liters))
            if cursor.fetchone()[0] != seq:
                self.mixups.append(f"{self.name}: another delivery's number")
        connection.commit()
        self.counts["transactions"] += 1
        self.counts["committed"] = seq

    def request(self):
        """One HTTP request: a signalling check, then mostly reads."""
        self.counts["requests"] += 1
        if self.random.random() < 0.02:
            connection = self.connect("postgres") if self.options.catalog else self.connect()
            with connection.cursor() as cursor:
                self.run(cursor, "SELECT datname FROM pg_database ORDER BY 1")
                cursor.fetchall()
            connection.rollback()
            connection.close()
        connection = self.borrow()
        try:
            self.signalling(connection)
            work = self.random.choices([self.read, self.milk, self.deliver], [64, 18, 18])[0]
            for attempt in range(6):
                try:
                    work(connection)
                    break
                except psycopg2.Error as error:
                    if error.pgcode not in RETRY:
                        raise
                    connection.rollback()
                    if attempt == 5:
                        # PostgreSQL's word to the application, no fault of anybody between them.
                        self.counts["given_up"] += 1
                        break
                    self.counts["retries"] += 1
                    time.sleep(self.random.uniform(0, 0.01 * 2 ** attempt))
            self.idle.append(connection)
        except psycopg2.Error as error:
            self.fault("request", error)
            connection.close()

    def serve(self, until, stopped, report):
        while time.monotonic() < until and not stopped.is_set():
            try:
                self.request()
            except psycopg2.Error as error:
                self.fault("connect", error)
                time.sleep(0.2)
            if self.counts["requests"] % 50 == 0:
                report(self)
        for connection in self.idle:
            connection.close()


def process(number, options, until, stopped, results):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker = Worker(number, options)

    def report(done, final=False):
        results.put((number, worker.name, dict(done.counts), dict(done.errors), list(done.mixups), final))

    try:
        worker.serve(until, stopped, report)
    except Exception as error:  # A bug here must not look like a clean run.
        worker.mixups.append(f"worker failed: {error!r}")
    report(worker, final=True)


def drive(options, stopped=None, progress=None):
    """Runs the load; returns the last report of every worker, by number."""
    stopped = stopped or multiprocessing.Event()
    results = multiprocessing.Queue()
    until = time.monotonic() + options.seconds
    # Daemons: whatever happens to this process, none of them is waited for at its end.
    workers = [multiprocessing.Process(target=process, args=(n, options, until, stopped, results), daemon=True)
               for n in range(options.workers)]
    for worker in workers:
        worker.start()
    last, finished, told = {}, set(), time.monotonic()
    deadline = until + 60
    while len(finished) < len(workers) and time.monotonic() < deadline:
        if stopped.is_set():
            deadline = min(deadline, time.monotonic() + 60)
        try:
            report = results.get(timeout=1)
            last[report[0]] = report
            if report[5]:
                finished.add(report[0])
        except queue.Empty:
            if not any(worker.is_alive() for worker in workers):
                break
        if progress and time.monotonic() - told >= options.every:
            told = time.monotonic()
            progress(last)
    for worker in workers:
        worker.join(timeout=5)
        if worker.is_alive():
            worker.kill()
            worker.join()
    missing = set(range(options.workers)) - finished
    return last, [f"worker {n} never finished" for n in sorted(missing)]


def totals(last):
    counts, errors, mixups = {}, {}, []
    for _, _, own, own_errors, own_mixups, _ in last.values():
        for key, value in own.items():
            counts[key] = counts.get(key, 0) + value
        for key, value in own_errors.items():
            errors[key] = errors.get(key, 0) + value
        mixups += own_mixups
    return counts, errors, mixups


def check(connection, last):
    """The invariants; a list of what is broken. A commit whose answer was lost may be there."""
    broken = []
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(liters) FROM farm.tank")
        total = cursor.fetchone()[0]
        if total != TANKS * LITERS:
            broken.append(f"tanks hold {total} liters, not {TANKS * LITERS}")
        cursor.execute("SELECT worker, count(*), max(seq), count(DISTINCT seq) FROM farm.delivery GROUP BY 1")
        stored = {row[0]: row[1:] for row in cursor.fetchall()}
        cursor.execute("SELECT worker, count(*) FROM farm.milk_production GROUP BY 1")
        readings = dict(cursor.fetchall())
    connection.rollback()
    for _, name, counts, errors, _, _ in last.values():
        count, highest, distinct = stored.get(name, (0, 0, 0))
        if not (count == highest == distinct) and count:
            broken.append(f"{name}: deliveries {count}, highest {highest}, distinct {distinct}")
        lost = count - counts["committed"]
        if lost != 0 and not (lost == 1 and errors):
            broken.append(f"{name}: saw {counts['committed']} deliveries committed, {count} are there")
        if readings.get(name, 0) != counts["readings"] and not errors:
            broken.append(f"{name}: saw {counts['readings']} readings committed, {readings.get(name, 0)} are there")
    return broken


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", default="app")
    parser.add_argument("--password", default="app-secret")
    parser.add_argument("--database", default="app")
    parser.add_argument("--sslmode", default="prefer")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--think", type=float, default=2, help="mean pause between statements, ms")
    parser.add_argument("--every", type=float, default=5, help="seconds between progress lines")
    parser.add_argument("--strict", action="store_true", help="settings given at login must survive DISCARD ALL")
    parser.add_argument("--catalog", action="store_true", help="database postgres can be reached too")
    return parser


def main():
    options = arguments().parse_args()
    setup = psycopg2.connect(host=options.host, port=options.port, user=options.user, password=options.password,
                             dbname=options.database, sslmode=options.sslmode)
    setup.autocommit = True
    with setup.cursor() as cursor:
        cursor.execute(SCHEMA)
    setup.autocommit = False
    last, broken = drive(options)
    counts, errors, mixups = totals(last)
    broken += mixups + check(setup, last)
    print(json.dumps({"counts": counts, "errors": errors, "broken": broken}))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
