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


def test_a_refused_argument_is_named_in_one_form() -> None:
    """Whoever calls a function reads what was given first and what it must be then, whichever function it is."""
    refusals = [
        (path.name, message)
        for path in sorted(sql_directory().glob("functions/*/*.sql"))
        for message in re.findall(r"RAISE EXCEPTION '((?:[^']|'')*)'", path.read_text())
        if "p_" in message or " needs " in message
    ]
    assert len(refusals) > 40
    odd = [each for each in refusals if not re.match(r"p_\w+( is [^,]+| and p_\w+)(, it)? must |p_from is %", each[1])]
    assert odd == []
