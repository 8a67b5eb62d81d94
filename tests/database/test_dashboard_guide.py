"""docs/dashboards.md: its SQL runs as it stands, with the rights that it says are enough."""

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "dashboards.md"
BLOCKS = re.findall(r"^```sql\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
VIEWS = re.compile(r"pggit\.(v_[a-z_]+)")


def role(block: str) -> str:
    """Return the least of our roles that the page says may run the block; dropping takes the owner."""
    if block.startswith("DROP"):
        return "none"
    return "pggit_alertd_operator" if "refresh_merge_rollup" in block else "pggit_alertd_reader"


@pytest.mark.servers
async def test_the_sql_of_the_guide_runs(connection: psycopg.AsyncConnection[Any]) -> None:
    """Each block runs with nothing but the rights of the least role that it is for."""
    assert len(BLOCKS) == PAGE.read_text().count("```sql")
    for block in BLOCKS:
        async with connection.transaction(force_rollback=True):
            await connection.execute(f"SET LOCAL ROLE {role(block)}".encode())
            await connection.execute(block.encode())


async def test_the_guide_has_every_dashboard(connection: psycopg.AsyncConnection[Any]) -> None:
    """Each view that people look at has an example, but for the windows, which have a page of their own."""
    shown = await connection.execute("SELECT viewname FROM pg_views WHERE schemaname = 'pggit' AND viewname ~ '^v_'")
    views = {name for (name,) in await shown.fetchall()}
    assert views - {"v_active_snoozes"} == set(VIEWS.findall("".join(BLOCKS)))


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)", PAGE.read_text()))))
def test_its_links_lead_somewhere(link: str) -> None:
    """What the page links to is there."""
    assert (PAGE.parent / link).is_file()
