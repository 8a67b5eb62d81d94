"""The console of a real daemon: it shows what the daemon did, is not loaded unasked, and can be switched off."""

import re
import subprocess
import sys

from support.daemon import Stage


async def test_the_console_shows_a_delivery(set_up: Stage) -> None:
    """An alert that was delivered is on its page with its attempt, under the grants of the daemon's own session."""
    await set_up.slack()
    daemon = await set_up.run()
    number = await set_up.alerts.alert("commit")
    await set_up.settled(1)
    page = (await daemon.page(f"/alerts/{number}")).text
    assert "commit" in page
    assert re.search(r"sent</span>\s*<strong>slack</strong>.*reply 200", page, re.DOTALL)
    overview = (await daemon.page("/")).text
    assert "listening" in overview
    assert "(this one)" in overview
    assert await daemon.stop() == 0


async def test_the_console_starts_with_the_database_down(set_up: Stage) -> None:
    """While the daemon waits for its database the console is there, says so, and gives the reason that it waits for."""
    daemon = await set_up.spawn(database_url="postgresql://nobody@127.0.0.1:1/none")
    await daemon.wait_for_event("waiting_for_database")
    reply = await daemon.page("/alerts")
    assert reply.status_code == 503
    assert "This replica:</strong> waiting: PostgreSQL can" in reply.text.replace("&#39;", "'")
    assert await daemon.stop() == 0


async def test_the_console_can_be_switched_off(set_up: Stage) -> None:
    """Without the console its addresses are 404 and the pages for programs go on."""
    daemon = await set_up.run(console="false")
    for path in ("/", "/alerts", "/console/console.css"):
        assert (await daemon.page(path)).status_code == 404
    assert (await daemon.page("/readyz")).status_code == 200


def test_nothing_of_the_console_is_loaded_unasked() -> None:
    """A daemon that nobody looks at has neither pages, charts nor templates of the console in memory."""
    ask = "import sys, pggit_alertd.daemon; print(*(name for name in sys.modules if '.console.' in name))"
    done = subprocess.run([sys.executable, "-c", ask], check=True, capture_output=True, text=True, timeout=60)  # noqa: S603 - our own Python
    assert done.stdout.split() == ["pggit_alertd.web.console.reader"]
