"""docs/suppression.md: every command and every statement in it works, in the order in which it is read."""

import re
import shlex
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from support.command_line import alertd

GUIDE = Path(__file__).parents[2] / "docs" / "suppression.md"


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of one language."""
    found = re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found
    return found


async def test_the_commands_work(database: str) -> None:
    """Each line of the guide's shell blocks ends with status 0 for an operator."""
    url = make_conninfo(database, options="-c role=pggit_alertd_operator")
    for line in "".join(blocks("sh")).splitlines():
        program, *arguments = shlex.split(line)
        assert program == "pggit-alertd"
        ended = await alertd(*arguments, database_url=url)
        assert ended.status == 0, (line, ended.said)


async def test_the_statements_work(connection: psycopg.AsyncConnection[Any]) -> None:
    """Each statement of the guide's SQL blocks runs with an operator's rights."""
    await connection.execute("SET ROLE pggit_alertd_operator")
    for statement in "".join(blocks("sql")).split(";"):
        if statement.strip():
            await connection.execute(statement.encode())
    states = await connection.execute("SELECT cancelled_at IS NULL FROM pggit.alert_snooze ORDER BY snooze_id")
    assert await states.fetchall() == [(False,), (True,), (True,)]


def test_every_outcome_reason_and_setting_is_explained() -> None:
    """What the tables and the metrics can say is said in the guide."""
    text = GUIDE.read_text(encoding="utf-8")
    migration = (Path(__file__).parents[2] / "sql" / "migrations" / "0004_suppression.sql").read_text(encoding="utf-8")
    outcomes = re.search(r"outcome IN \((.*?)\)", migration, re.DOTALL)
    assert outcomes
    for word in re.findall(r"'(\w+)'", outcomes[1]):
        assert f"`{word}`" in text, word
