#!/usr/bin/env python3
"""LISTEN with psycopg2 as Odoo uses it: select() on the socket, and conn.notifies behind commit()."""

import argparse
import select
import threading

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--database", required=True)
args = parser.parse_args()


def connect(name):
    return psycopg2.connect(
        host="127.0.0.1", port=args.port, user="app", dbname=args.database, application_name=name
    )


def wait(conn, count):
    """As Odoo's bus: sleeps in select(), then polls."""
    found = []
    while len(found) < count:
        ready, _, _ = select.select([conn], [], [], 30)
        assert ready, f"nothing came; so far {found}"
        conn.poll()
        while conn.notifies:
            found.append(conn.notifies.pop(0))
    return found


def bus():
    """One process listens in a transaction, others notify from theirs."""
    listener, sender = connect("bus"), connect("worker")
    with listener.cursor() as cr:
        cr.execute("SELECT pg_is_in_recovery()")
        cr.execute("LISTEN imbus")
    listener.commit()
    for n in range(20):
        with sender.cursor() as cr:
            cr.execute('SELECT "pg_notify"(%s, %s)', ("imbus", f"message {n}"))
        sender.commit()
    found = wait(listener, 20)
    assert [note.payload for note in found] == [f"message {n}" for n in range(20)], found
    assert {note.channel for note in found} == {"imbus"}
    with sender.cursor() as cr:
        cr.execute("SELECT pg_backend_pid()")
        assert {note.pid for note in found} == {cr.fetchone()[0]}
    sender.commit()
    listener.close()
    sender.close()


def own():
    """What a connection sends to itself is there as soon as commit() returns."""
    conn = connect("own")
    with conn.cursor() as cr:
        cr.execute("LISTEN mine")
        conn.commit()
        for n in range(20):
            cr.execute("NOTIFY mine, %s", (str(n),))
            conn.commit()
            assert [note.payload for note in conn.notifies] == [str(n)], conn.notifies
            conn.notifies.clear()
    conn.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
    with conn.cursor() as cr:
        cr.execute("NOTIFY mine, 'auto'")
    assert [note.payload for note in conn.notifies] == ["auto"], conn.notifies
    conn.close()


def crowd():
    """Many listeners and senders at once: each listener gets everything, each sender's in order."""
    listeners = [connect("listener") for _ in range(8)]
    for conn in listeners:
        conn.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        conn.cursor().execute("LISTEN crowd")

    def send(name):
        conn = connect("sender")
        conn.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        for n in range(50):
            conn.cursor().execute("NOTIFY crowd, %s", (f"{name} {n}",))
        conn.close()

    senders = [threading.Thread(target=send, args=(name,)) for name in range(4)]
    for sender in senders:
        sender.start()
    for conn in listeners:
        found = [note.payload.split() for note in wait(conn, 200)]
        for name in range(4):
            numbers = [int(n) for who, n in found if int(who) == name]
            assert numbers == list(range(50)), numbers
        conn.close()
    for sender in senders:
        sender.join()


bus()
own()
crowd()
print("all as on a direct connection")
