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
    text = (sql_directory() / "queries" / f"{name}.sql").read_text(encoding="utf-8")
    bare = _COMMENT.sub("", text).strip().rstrip(";")
    return _PARAMETER.sub(r"%(\1)s", bare.replace("%", "%%"))
