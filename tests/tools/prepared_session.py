"""SQL-level PREPARE and EXECUTE through psycopg2: many connections, few servers.

Every connection prepares statements of the same names with other texts, executes them outside and
inside transactions while its neighbours do the same, and reads PostgreSQL's own words in errors.
"""

import argparse
import sys
import threading

import psycopg2
import psycopg2.errors

PARSER = argparse.ArgumentParser()
PARSER.add_argument("--port", type=int, required=True)
PARSER.add_argument("--database", required=True)
PARSER.add_argument("--connections", type=int, default=8)
PARSER.add_argument("--rounds", type=int, default=25)
OPTIONS = PARSER.parse_args()
BROKEN = []


def check(seen, expected):
    if seen != expected:
        raise AssertionError(f"{seen!r} instead of {expected!r}")


def refused(cursor, sql, code, text):
    try:
        cursor.execute(sql)
    except psycopg2.Error as error:
        check(error.pgcode, code)
        check(error.diag.message_primary, text)
    else:
        raise AssertionError(f"{sql} was not refused")


def one(cursor, sql, values=None):
    cursor.execute(sql, values)
    return cursor.fetchone()[0]


def session(number):
    connection = psycopg2.connect(host="127.0.0.1", port=OPTIONS.port, user="app", password="app-secret",
                                  dbname=OPTIONS.database)
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute(f"PREPARE own AS SELECT 'of {number}'")
    cursor.execute("PREPARE add (int, int) AS SELECT $1 + $2")
    refused(cursor, "PREPARE add AS SELECT 1", "42P05", 'prepared statement "add" already exists')
    for turn in range(OPTIONS.rounds):
        check(one(cursor, "EXECUTE own"), f"of {number}")
        check(one(cursor, "EXECUTE add (%s, %s)", (number, turn)), number + turn)
        refused(cursor, "EXECUTE gone", "26000", 'prepared statement "gone" does not exist')
        connection.autocommit = False
        cursor.execute(f"PREPARE inner_one AS SELECT 'inner {turn}'")
        check(one(cursor, "EXECUTE inner_one"), f"inner {turn}")
        connection.rollback()
        check(one(cursor, "EXECUTE inner_one"), f"inner {turn}")
        connection.commit()
        connection.autocommit = True
        cursor.execute("DEALLOCATE inner_one")
    cursor.execute("DEALLOCATE ALL")
    refused(cursor, "EXECUTE own", "26000", 'prepared statement "own" does not exist')
    connection.close()


def guarded(number):
    try:
        session(number)
    except Exception as error:  # every thread's failure is told at the end
        BROKEN.append(f"connection {number}: {error!r}")


def main():
    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(OPTIONS.connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("\n".join(BROKEN) or "all as on a direct connection")
    return 1 if BROKEN else 0


if __name__ == "__main__":
    sys.exit(main())
