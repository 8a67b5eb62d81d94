"""A stage for the daemon: a fresh database and the receivers."""

from collections.abc import AsyncIterator

import pytest

from support.daemon import Stage, stage


@pytest.fixture
async def set_up(database: str) -> AsyncIterator[Stage]:
    """Yield a migrated database and sinks; `run` starts a daemon between them."""
    async with stage(database) as found:
        yield found
