"""psycopg's errors become ours: whose fault it is, whether waiting helps, and what to do, without any secret.

A failed statement carries a SQLSTATE, and its class decides. A failed *connection attempt* carries none: libpq keeps
the server's code to itself and hands over one line of text, also in its asynchronous calls (measured on psycopg 3.3,
libpq 18: `sqlstate` and `diag.sqlstate` are None for a wrong password, a missing database and a refused port alike). So
that one line is read here and nowhere else, and only for what can't be learned otherwise: which code the server meant.
A line nobody recognizes counts as "unavailable", because waiting is harmless and giving up is not.
"""

import re
from dataclasses import dataclass

import psycopg
from psycopg import errors

from pggit_alertd.errors import (
    DatabaseError,
    DatabaseLocked,
    DatabaseRefused,
    DatabaseRejected,
    DatabaseUnavailable,
    SchemaMissing,
    SchemaOutdated,
)

_CONNECT_LINES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), state)
    for pattern, state in (
        (r"too many clients|too many connections|connection slots are reserved|no more connections allowed", "53300"),
        (r"the database system is|the database is not accepting", "57P03"),
        (r"terminating connection", "57P01"),
        (r"server login has been failing|query_wait_timeout|server conn crashed", "08006"),
        (r"no password supplied|password authentication failed|SASL authentication failed|wrong password", "28P01"),
        (r"no pg_hba\.conf entry|pg_hba\.conf rejects|authentication failed|role \".*\" does not exist", "28000"),
        (r"is not permitted to log in|requires a valid client certificate|no such user", "28000"),
        (r"database \".*\" does not exist|no such database|is not currently accepting connections", "3D000"),
        (r"permission denied for database", "42501"),
        (r"server does not support SSL|certificate verify failed|server certificate", "28000"),
    )
)
"""What servers and PgBouncer say at connect time, in English, and the SQLSTATE each of them means."""

_CONNECT_MENDS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), mend)
    for pattern, mend in (
        (
            r"is not permitted to log in",
            "ALTER ROLE that role LOGIN, or name another user in PGGIT_ALERTD_DATABASE_URL.",
        ),
        (
            r"is not currently accepting connections",
            "ALTER DATABASE that database ALLOW_CONNECTIONS true, or name another in PGGIT_ALERTD_DATABASE_URL.",
        ),
        (
            r"too many connections for",
            "Raise the CONNECTION LIMIT of the role or database; a daemon takes PGGIT_ALERTD_DATABASE_POOL_SIZE + 1.",
        ),
        (
            r"no pg_hba\.conf entry",
            "Add a line for it to the server's pg_hba.conf and reload, or mend PGGIT_ALERTD_DATABASE_URL.",
        ),
    )
)
"""What to do about some of these lines, where the SQLSTATE alone says less."""

_ATTEMPT = ("connection failed: ", "connection is bad: ", "multiple connection attempts failed")
"""How psycopg's own text begins when a connection could not be opened; a session that was lost begins otherwise."""

_FROM_THE_NETWORK = re.compile(r"connection to server (?:at|on)|failed to resolve host|server closed the connection")
"""Lines that name hosts, ports and reasons. Any other line may quote a mistyped connection string and its password."""


_HEADING = re.compile(r"(?:- host: .*?, hostaddr: \S+: )?(?:connection failed: |connection is bad: )?")
"""What psycopg writes before a line of libpq's."""


@dataclass(frozen=True)
class _Reading:
    """What kind of error a SQLSTATE is, and the sentence that says what to do about it."""

    kind: type[DatabaseError]
    mend: str


_EXACT = {
    "28P01": _Reading(DatabaseRefused, "Mend the user or the password in PGGIT_ALERTD_DATABASE_URL."),
    "3D000": _Reading(DatabaseRefused, "Create the database, or mend its name in PGGIT_ALERTD_DATABASE_URL."),
    "42501": _Reading(
        DatabaseRefused,
        "Grant the role what it lacks: pggit_alertd_daemon to run the daemon, pggit_alertd_operator for an operator's "
        "commands, ownership of pggit to migrate.",
    ),
    "25006": _Reading(
        DatabaseUnavailable,
        "This server is read-only, probably a standby; point PGGIT_ALERTD_DATABASE_URL at the primary.",
    ),
    "55P03": _Reading(
        DatabaseLocked,
        "Another transaction holds a lock; find it in pg_stat_activity, end it or wait, and run this again.",
    ),
    "57014": _Reading(DatabaseError, "The statement was canceled or hit statement_timeout; raise it for this role."),
    "57P05": _Reading(
        DatabaseUnavailable,
        "This program waits idle by design; ALTER ROLE its role SET idle_session_timeout = 0.",
    ),
    "40001": _Reading(DatabaseError, "Concurrent transactions collided; nothing was changed, so run this again."),
    "40P01": _Reading(
        DatabaseError, "Concurrent transactions blocked each other; nothing was changed, so run this again."
    ),
    "42P01": _Reading(SchemaMissing, "Run `pggit-alertd migrate up` on this database."),
    "3F000": _Reading(SchemaMissing, "Run `pggit-alertd migrate up` on this database."),
    "42883": _Reading(SchemaOutdated, "Run `pggit-alertd migrate up` on this database."),
    "42703": _Reading(SchemaOutdated, "Run `pggit-alertd migrate up` on this database."),
}
_CLASSES = {
    "08": _Reading(DatabaseUnavailable, "Check that PostgreSQL runs and can be reached from here."),
    "22": _Reading(DatabaseRejected, "These values can't be stored; look for this moment in the server's log."),
    "23": _Reading(DatabaseRejected, "These values can't be stored; look for this moment in the server's log."),
    "28": _Reading(
        DatabaseRefused, "Mend the user or password in PGGIT_ALERTD_DATABASE_URL, or the server's pg_hba.conf."
    ),
    "53": _Reading(
        DatabaseUnavailable, "The server is short of connections, memory or disk; free some or raise the limit."
    ),
    "57": _Reading(DatabaseUnavailable, "The server is starting, stopping or failing over; it is worth waiting."),
}
_NO_STATE = _Reading(DatabaseUnavailable, "Check that PostgreSQL runs and can be reached from here.")
_ANSWERED = _Reading(
    DatabaseUnavailable,
    "The server answered and took no connection; mend what it names, there or in PGGIT_ALERTD_DATABASE_URL.",
)
_OTHER = _Reading(DatabaseError, "Look for this moment in the server's log.")
_BAD_STRING = (
    "PGGIT_ALERTD_DATABASE_URL can't be used as a connection string; write "
    "postgresql://user:password@host:port/database and percent-encode special characters in the password."
)


def translate(error: psycopg.Error) -> DatabaseError:
    """Return the error of our tree that says whose fault `error` is and what to do. Never holds the password."""
    state = sqlstate(error)
    if state is not None:
        reading = _EXACT.get(state) or _CLASSES.get(state[:2], _OTHER)
        mend = reading.mend if error.sqlstate else _connect_mend(str(error)) or reading.mend
        return reading.kind(f"PostgreSQL said: {_said(error)} ({state}). {mend}")
    if isinstance(error, psycopg.DataError):
        return DatabaseRejected(f"A value can't be sent to PostgreSQL: {_said(error) or type(error).__name__}.")
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return _unreachable(error)
    if isinstance(error, psycopg.ProgrammingError) and error.pgconn is None:
        # Either a connection string libpq can't parse (the text quotes it) or psycopg used wrongly by this program.
        return DatabaseRefused(_BAD_STRING)
    return DatabaseError(f"PostgreSQL said: {_said(error) or type(error).__name__}. {_OTHER.mend}")


def _unreachable(error: psycopg.Error) -> DatabaseError:
    """Return what a connection that failed, or was lost, without a SQLSTATE means."""
    if isinstance(error, errors.ConnectionTimeout):
        return DatabaseUnavailable(f"PostgreSQL did not answer in time. {_NO_STATE.mend}")
    line = _said(error)
    if not line and str(error).startswith("connection is bad: "):  # libpq did not even try
        return DatabaseRefused(_BAD_STRING)
    if "FATAL: " in line:
        return DatabaseUnavailable(f"PostgreSQL said: {line}. {_ANSWERED.mend}")
    # libpq ends with a question of its own: is the server running, and accepting connections?
    end = "" if line.endswith("?") else "."
    return DatabaseUnavailable(f"PostgreSQL can't be reached: {line or 'no reason given'}{end} {_NO_STATE.mend}")


def sqlstate(error: psycopg.Error) -> str | None:
    """Return the SQLSTATE of an error; for a failed connection attempt, the one its text stands for, if known."""
    if error.sqlstate:
        return str(error.sqlstate)
    text = str(error)
    if not isinstance(error, psycopg.OperationalError) or not text.startswith(_ATTEMPT):
        return None
    if error.pgconn is not None and error.pgconn.needs_password:
        return "28P01"
    return next((state for pattern, state in _CONNECT_LINES if pattern.search(text)), None)


def _said(error: psycopg.Error) -> str:
    """Return the server's or the network's own words on one line, or nothing where they could hold a secret."""
    primary = error.diag.message_primary
    text = primary or str(error)
    if not primary:
        attempted = text.startswith((*_ATTEMPT, "failed to resolve")) or isinstance(error, psycopg.ProgrammingError)
        if "@" in text or (attempted and _FROM_THE_NETWORK.search(text) is None):
            return ""
    if error.pgconn is not None and error.pgconn.password:
        text = text.replace(error.pgconn.password.decode(errors="replace"), "***")
    return _once(text).rstrip(".")


def _once(text: str) -> str:
    """Return the lines of an error as one, each once: every attempt has its own, and psycopg sums them up again."""
    lines: dict[str, None] = {}
    for each in text.splitlines():
        line = _HEADING.sub("", " ".join(each.split()))
        if line and not line.startswith("Multiple connection attempts failed"):
            lines.setdefault(line)
    return " ".join(lines).replace(" connection to server", "; connection to server")


def _connect_mend(text: str) -> str:
    """Return what to do about a line that says it better than its SQLSTATE, or nothing."""
    return next((mend for pattern, mend in _CONNECT_MENDS if pattern.search(text)), "")
