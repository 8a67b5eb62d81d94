"""Named SQL: `sql/queries/<name>.sql` as text that psycopg takes.

The files are written for psql, so parameters look like `:'limit'`. Here they become
psycopg's `%(limit)s`. Nothing is ever interpolated.
"""

import re
from functools import cache

from pggit_alertd.database.files import sql_directory

_PARAMETER = re.compile(r":'([a-z_][a-z0-9_]*)'")
_COMMENT = re.compile(r"--[^\n]*")


@cache
def load(name: str) -> str:
    """Return the statement in `sql/queries/<name>.sql` with psycopg parameters and without comments.

    Raises FileNotFoundError for a name that has no file, which is a fault of the program.
    """
    return _PARAMETER.sub(r"%(\1)s", _bare(name).replace("%", "%%"))


@cache
def numbered(name: str) -> tuple[bytes, tuple[str, ...]]:
    """Return the statement with $1, $2 and so on, as PostgreSQL takes it, and the parameters' names in that order.

    For psycopg's raw cursors, which have nothing to parse: it keeps what it has parsed of statements up to 4 KB, and
    the longest of ours takes 0.4 ms each time.
    """
    names = tuple(dict.fromkeys(_PARAMETER.findall(bare := _bare(name))))
    numbers = {each: f"${number}" for number, each in enumerate(names, 1)}
    return _PARAMETER.sub(lambda found: numbers[found[1]], bare).encode(), names


def _bare(name: str) -> str:
    text = (sql_directory() / "queries" / f"{name}.sql").read_text(encoding="utf-8")
    return _COMMENT.sub("", text).strip().rstrip(";")
