"""A stage for the daemon, and receivers for its commands."""

from collections.abc import AsyncIterator

import pytest

from pggit_alertd.demo.sinks import HttpSink, SmtpSink
from support.checks import PASSWORD
from support.daemon import Stage, stage


@pytest.fixture
async def set_up(database: str) -> AsyncIterator[Stage]:
    """Yield a migrated database and sinks; `run` starts a daemon between them."""
    async with stage(database) as found:
        yield found


@pytest.fixture
async def http() -> AsyncIterator[HttpSink]:
    """Run Slack and PagerDuty on loopback."""
    async with HttpSink() as sink:
        yield sink


@pytest.fixture
async def mail() -> AsyncIterator[SmtpSink]:
    """Run a mail server on loopback that wants a login."""
    async with SmtpSink(credentials=("alertd", PASSWORD)) as sink:
        yield sink
