"""Odoo's own sequence of session statements, through psycopg2, by two processes' worth of connections.

Borrow (reset = DISCARD ALL), BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE, SET SESSION lock_timeout,
COMMIT, give back. Exits with 1 and says why when a connection loses what its login gave it, keeps what
DISCARD ALL must undo, or sees what another one set.
"""

import argparse
import select
import sys

import psycopg2
import psycopg2.extensions

PARSER = argparse.ArgumentParser(description=__doc__)
PARSER.add_argument("--port", required=True)
PARSER.add_argument("--database", required=True)
PARSER.add_argument("--settings", action="store_true", help="settings that PostgreSQL does not report are followed too")
PARSER.add_argument("--listen", action="store_true", help="notifications arrive")
OPTIONS = PARSER.parse_args()
WRONG = []


def connect(name, **more):
    return psycopg2.connect(host="127.0.0.1", port=OPTIONS.port, user="app", password="app-secret",
                            dbname=OPTIONS.database, application_name=name, **more)


def borrow(connection):
    connection.reset()
    connection.set_session(isolation_level="REPEATABLE READ", readonly=False)
    return connection


def ask(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def expect(what, got, wanted):
    if got != wanted:
        WRONG.append(f"{what}: {got!r} instead of {wanted!r}")


def sessions():
    """Six connections of two names, borrowed in turn, on whatever servers there are."""
    zones = {"odoo-1": "Asia/Tokyo", "odoo-2": "Europe/Brussels"}
    all_of_them = [(name, connect(name, options=f"-c TimeZone={zone}"))
                   for name, zone in zones.items() for _ in range(3)]
    for turn in range(8):
        for number, (name, connection) in enumerate(all_of_them):
            borrow(connection)
            who = f"turn {turn}, {name}"
            if (turn + number) % 3 == 0:
                with connection.cursor() as cursor:
                    cursor.execute("SET SESSION lock_timeout = '15s'")
                    cursor.execute("SET TIME ZONE 'America/Lima'")
                connection.commit()
                stranger_name, stranger = all_of_them[(number + 1) % len(all_of_them)]
                borrow(stranger)
                expect(who + ", a stranger's name", ask(stranger, "SHOW application_name"), stranger_name)
                if OPTIONS.settings:
                    expect(who + ", a stranger's lock_timeout", ask(stranger, "SHOW lock_timeout"), "0")
                stranger.rollback()
                if OPTIONS.settings:
                    expect(who + ", its own lock_timeout", ask(connection, "SHOW lock_timeout"), "15s")
                expect(who + ", its own zone", ask(connection, "SHOW timezone"), "America/Lima")
                connection.rollback()
                continue
            expect(who + ", application_name", ask(connection, "SHOW application_name"), name)
            expect(who + ", TimeZone", ask(connection, "SHOW timezone"), zones[name])
            expect(who + ", isolation", ask(connection, "SHOW transaction_isolation"), "repeatable read")
            if OPTIONS.settings:
                expect(who + ", lock_timeout", ask(connection, "SHOW lock_timeout"), "0")
            connection.rollback()
    for _, connection in all_of_them:
        connection.close()


def bus():
    """LISTEN in a transaction, as the bus does; select() on the idle socket."""
    listener = connect("odoo-bus")
    ask(listener, "SELECT pg_is_in_recovery()")
    with listener.cursor() as cursor:
        cursor.execute("LISTEN imbus")
    listener.commit()
    sender = connect("odoo-3")
    for number in range(5):
        borrow(sender)
        ask(sender, f"SELECT \"pg_notify\"('imbus', 'message {number}')")
        sender.commit()
    heard = []
    while len(heard) < 5 and select.select([listener], [], [], 10)[0]:
        listener.poll()
        heard += [note.payload for note in listener.notifies]
        listener.notifies.clear()
    expect("the bus", heard, [f"message {number}" for number in range(5)])


sessions()
if OPTIONS.listen:
    bus()
print("\n".join(WRONG))
sys.exit(1 if WRONG else 0)
