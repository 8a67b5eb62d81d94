"""Named statements, as psycopg's two kinds of cursor take them."""

import re

import pytest

from pggit_alertd.database import queries
from pggit_alertd.database.files import sql_directory

NAMES = sorted(path.stem for path in (sql_directory() / "queries").glob("*.sql"))


@pytest.mark.parametrize("name", NAMES)
def test_numbers_stand_for_the_same_names(name: str) -> None:
    """With each number put back to its name, the numbered statement is the named one."""
    statement, names = queries.numbered(name)
    named = re.sub(r"\$(\d+)", lambda found: f"%({names[int(found[1]) - 1]})s", statement.decode().replace("%", "%%"))
    assert named == queries.load(name)
    assert len(set(names)) == len(names)
    assert {int(found) for found in re.findall(r"\$(\d+)", statement.decode())} == set(range(1, len(names) + 1))
