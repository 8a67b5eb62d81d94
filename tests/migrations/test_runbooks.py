"""Runbooks: each rule and each condition has one, and their SQL runs on a database as it is installed."""

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from pggit_alertd.conditions import Kind

ROOT = Path(__file__).resolve().parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
RULES = ROOT / "deploy" / "prometheus" / "pggit-alertd.rules.yaml"
PAGES = sorted(path for path in RUNBOOKS.glob("*.md") if path.name != "README.md")
SQL = re.compile(r"^( *)```sql\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
# What an operator has who also runs the daemon's part by hand.
ROLE = "CREATE ROLE runbook_reader IN ROLE pggit_alertd_operator, pggit_alertd_daemon"


def blocks(page: Path) -> list[str]:
    """Return the SQL blocks of a page."""
    text = page.read_text()
    found = [block for _, block in SQL.findall(text)]
    assert found
    assert len(found) == text.count("```sql")
    return found


@pytest.mark.servers
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
async def test_the_sql_of_a_runbook_runs(connection: psycopg.AsyncConnection[Any], page: Path) -> None:
    """Every block of every page runs as it stands, with the operator's and the daemon's grants and nothing more."""
    for block in blocks(page):
        async with connection.transaction(force_rollback=True):
            await connection.execute(ROLE.encode())
            await connection.execute("SET LOCAL ROLE runbook_reader")
            await connection.execute(block.encode())


def test_every_condition_and_every_rule_has_a_runbook() -> None:
    """The page that a notification or a rule names is there, and the list of pages has every page."""
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    named = {kind.runbook for kind in Kind} | {rule["annotations"]["runbook"] for rule in rules}
    assert {path for path in named if not (ROOT / path).is_file()} == set()
    assert {path.relative_to(ROOT).as_posix() for path in PAGES} == named
    listed = set(re.findall(r"\]\(([a-z-]+\.md)\)", (RUNBOOKS / "README.md").read_text()))
    assert listed == {page.name for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_runbook_says_what_it_means_where_to_look_and_what_to_do(page: Path) -> None:
    """Each page has the same three parts, and its links lead somewhere."""
    text = page.read_text()
    assert re.match(r"# .+\n\n.+", text)
    assert text.index("\n## Look\n") < text.index("\n## Do\n")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (RUNBOOKS / link).is_file(), link
