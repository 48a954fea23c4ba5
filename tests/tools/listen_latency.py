#!/usr/bin/env python3
"""How long a notification takes from NOTIFY's commit to the listener, and whether each arrives once.

  listen_latency.py --port 6432 --database app --user app --listeners 50 --seconds 10 [--rate 100]

Run it against PostgreSQL's own port and against the pooler's, with and without other load, and
compare. Sender and listeners are processes of one machine, so one clock serves both; the time of
sending is in the payload. Not a test: it prints figures and judges only counts and order.
"""

import argparse
import multiprocessing
import select
import time

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT

END = "end"


def connect(args):
    conn = psycopg2.connect(host=args.host, port=args.port, user=args.user, dbname=args.database)
    conn.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
    return conn


def listen(args, count, ready, results):
    """One process with several listeners."""
    conns = [connect(args) for _ in range(count)]
    for conn in conns:
        conn.cursor().execute("LISTEN latency")
    ready.release()
    latencies, expected, open_ones = [], {conn: 0 for conn in conns}, set(conns)
    while open_ones:
        found, _, _ = select.select(list(open_ones), [], [], 30)
        assert found, "nothing came for 30 s"
        for conn in found:
            conn.poll()
            now = time.monotonic_ns()
            while conn.notifies:
                payload = conn.notifies.pop(0).payload
                if payload == END:
                    open_ones.discard(conn)
                    continue
                number, sent = payload.split()
                assert int(number) == expected[conn], f"{number} in place of {expected[conn]}"
                expected[conn] += 1
                latencies.append(now - int(sent))
    results.put((set(expected.values()), latencies))


def send(args):
    conn = connect(args)
    cursor, number = conn.cursor(), 0
    end = time.monotonic() + args.seconds
    while time.monotonic() < end:
        payload = f"{number} {time.monotonic_ns()}"
        cursor.execute('SELECT "pg_notify"(%s, %s)', ("latency", payload))
        number += 1
        time.sleep(1 / args.rate)
    cursor.execute("NOTIFY latency, %s", (END,))
    return number


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--user", default="app")
    parser.add_argument("--listeners", type=int, default=50)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=float, default=100)
    args = parser.parse_args()

    ready, results = multiprocessing.Semaphore(0), multiprocessing.Queue()
    shares = [args.listeners // args.processes] * args.processes
    workers = [
        multiprocessing.Process(target=listen, args=(args, share, ready, results))
        for share in shares
    ]
    for worker in workers:
        worker.start()
    for _ in workers:
        ready.acquire()
    sent = send(args)
    latencies, counts = [], set()
    for _ in workers:
        seen, times = results.get(timeout=60)
        counts |= seen
        latencies += times
    for worker in workers:
        worker.join()
    assert counts == {sent}, f"sent {sent}, delivered {counts}"
    latencies.sort()
    at = lambda share: latencies[min(int(len(latencies) * share), len(latencies) - 1)] / 1e6
    print(
        f"{sent} notifications to {sum(shares)} listeners, {len(latencies)} deliveries, "
        f"each once and in order; ms: p50 {at(0.5):.2f} p95 {at(0.95):.2f} p99 {at(0.99):.2f} "
        f"max {at(1):.2f}"
    )


if __name__ == "__main__":
    main()
