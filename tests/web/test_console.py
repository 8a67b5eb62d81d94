"""The console's pages over real HTTP and PostgreSQL: what they show, what they never show, and what an outage does."""

import asyncio
import re
import socket
import time
from html import unescape

import pytest

from support.alerts import Alerts
from web.console_stage import PAGES, console, fill

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "'; DROP TABLE x; --",
    "{{ 7 * 7 }}",
    "a&b=c#d",
    "</title><b>",
    "javascript:alert(3)",
)
LOGGED = """
INSERT INTO pggit.alert_notification_log (alert_id, channel, recipient, status, error_message, reason)
VALUES (%s, %s, %s, 'retry', %s, %s)
"""
LETTER = """
INSERT INTO pggit.alert_notification_queue (alert_id, channel, recipient, message, status, processed_at,
    error_message, alert)
VALUES (%s, %s, %s, 'm', 'failed', now(), %s, jsonb_build_object('operation_type', %s::text))
"""
DESTINATION = """
INSERT INTO pggit.alert_destination (destination_key, channel, recipient, last_error) VALUES (%s, %s, %s, %s)
"""
ROWS = re.compile(r'<tr role="row">(.*?)</tr>', re.DOTALL)


def words(page: str) -> str:
    """Return what a reader sees of a page: its text without tags, spaces folded."""
    text = " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())
    return re.sub(r" (?=[,.:;)])|(?<=\() ", "", text)


@pytest.mark.servers
async def test_every_page_shows_what_is_there(database: str) -> None:
    """Each page tells the facts of its subject from the database."""
    await fill(database)
    async with console(database) as stage:
        overview = words(await stage.page("/"))
        assert "Firing" in overview
        assert "Critical merge_branches" in overview
        assert "open until in" in overview
        assert "six failures in a row; HTTP 503: upstream down" in overview
        assert "paused until in" in overview
        assert "w1 (this one)" in overview
        assert "gone 1 h ago" in overview
        assert "Dead letters 3 given up" in overview
        assert "the oldest is due for 4" in overview
        assert "100 alerts" not in overview
        latency = words(await stage.page("/latency?operation=commit"))
        assert "baseline p99 6.50 ms" in latency
        assert "alert above 13.0 ms" in latency
        assert "CRITICAL alert 142" in latency
        assert "HTTP 503: upstream down" in words(await stage.page("/deliveries"))
        letters = words(await stage.page("/dead-letters"))
        assert letters.count("HTTP 404: no_service") == 3
        assert "replay_notification" in letters
        baselines = words(await stage.page("/baselines?operation=commit"))
        assert "+215.4 %" in baselines
        assert "approve_baseline" in baselines
        assert "13.0 ms (2x)" in baselines
        assert "two operations failed" in words(await stage.page("/schedule"))


async def test_instants_beyond_the_calendar_spoil_no_page(database: str) -> None:
    """An application may write any timestamp PostgreSQL knows; the pages show it as the nearest that Python knows."""
    await fill(database)
    alerts = await Alerts.connect(database)
    statement = (
        "UPDATE pggit.performance_alerts SET created_at = %s::timestamp, acknowledged_at = %s WHERE alert_id = %s"
    )
    odd = ("infinity", "-infinity", "0044-03-15 BC", "20000-01-01")
    for number, instant in enumerate(odd, 1):
        await alerts.rows(statement, instant, instant, number)
    await alerts.close()
    async with console(database) as stage:
        for page in (*PAGES, *(f"/alerts/{number}" for number in range(1, len(odd) + 1))):
            assert await stage.page(page)
        assert "9999-12-30" in words(await stage.page("/alerts/1"))
        assert "0001-01-02" in words(await stage.page("/alerts/2"))


async def test_an_alert_has_its_trail_in_order(database: str) -> None:
    """An alert's page shows the alert, its notification and every attempt, oldest first, with reason and duration."""
    await fill(database)
    async with console(database) as stage:
        page = words(await stage.page("/alerts/63"))
        assert "Threshold exceeded: commit took 38.9 ms, 9.4x its baseline of 6.50 ms" in page
        first, second = page.index("retry slack #ops, attempt 1"), page.index("sent slack #ops, attempt 2")
        assert first < second
        assert "delivery took 19 ms" in page
        assert "reply 503 · server_error" in page
        assert "by ada" in words(await stage.page("/alerts/60"))
        missing = words(await stage.page("/alerts/4711", 404))
        assert "There is no alert 4711" in missing
        await stage.page(f"/alerts/{2**70}", 404)


async def test_a_removed_alert_keeps_its_trail(database: str) -> None:
    """When the alert is gone the log's rows are still shown, and the page says so."""
    await fill(database)
    alerts = await Alerts.connect(database)
    await alerts.rows("DELETE FROM pggit.performance_alerts WHERE alert_id = 63")
    await alerts.close()
    async with console(database) as stage:
        page = words(await stage.page("/alerts/63"))
    assert "has been removed" in page
    assert "retry slack #ops, attempt 1" in page


async def test_filters_narrow_and_older_ones_follow(database: str) -> None:
    """Filters show what fits and nothing else; the link to older alerts goes on without a gap or a repetition."""
    await fill(database)
    async with console(database) as stage:
        first = await stage.page("/alerts")
        numbers = [int(each) for each in re.findall(r'<a href="/alerts/(\d+)">', first)]
        assert numbers == list(range(150, 50, -1))
        link = re.search(r'<a href="(/alerts\?before=[^"]+)">Older ones', first)
        assert link is not None
        second = await stage.page(unescape(link[1]))
        assert [int(each) for each in re.findall(r'<a href="/alerts/(\d+)">', second)] == list(range(50, 0, -1))
        assert "Older ones" not in second
        query = "/alerts?operation=merge_branches&type=ANOMALY&severity=CRITICAL&unacknowledged=1"
        chosen = [words(row) for row in ROWS.findall(await stage.page(query))[1:]]
        assert chosen
        assert all("Critical merge_branches Anomaly" in row for row in chosen)
        assert not any("acknowledged" in row for row in chosen)
        retries = [words(row) for row in ROWS.findall(await stage.page("/deliveries?channel=slack&status=retry"))[1:]]
        assert retries
        assert all("retry slack" in row for row in retries)
        letters = await stage.page("/dead-letters?before=2000-01-01T00:00:00%2B00:00")
        assert "nothing was given up" in letters


@pytest.mark.parametrize("query", ["before=x", "before=-1", "before=99999999999999999999", "operation=%00", "type=';",
                                   "before=2026-01-01", "severity=<b>", "operation=" + "x" * 3000])  # fmt: skip
async def test_what_makes_no_sense_in_an_address_is_left_out(database: str, query: str) -> None:
    """A filter that can't be meant is ignored or finds nothing; it is never an error."""
    async with console(database) as stage:
        for path in ("/alerts", "/deliveries", "/dead-letters", "/baselines", "/latency", "/schedule"):
            page = await stage.page(f"{path}?{query}")
            assert "be read" not in page


@pytest.mark.servers
async def test_every_page_of_an_empty_database_says_that_there_is_nothing(database: str) -> None:
    """With no rows at all each page is there and says in words that it has nothing to show."""
    async with console(database) as stage:
        for path in PAGES:
            page = await stage.page(path)
            assert "trouble" not in re.sub(r'<div data-live="trouble" class="troubles">\s*</div>', "", page), path
            assert 'class="empty"' in page or "/schedule" in path or path == "/latency", path
        assert "every alert of the last 24 hours is acknowledged" in await stage.page("/")


async def test_hostile_names_stay_text(database: str) -> None:
    """Markup and template code in names, addresses and error texts are shown as written and never become markup."""
    alerts = await Alerts.connect(database)
    await alerts.setting("slack")
    for name in HOSTILE:
        number = await alerts.alert(name, name=name)
        await alerts.rows(LOGGED, number, name, name, name, name)
        await alerts.rows(LETTER, number, name, name, name, name)
        await alerts.rows(DESTINATION, name, name, name, name)
    await alerts.close()
    async with console(database) as stage:
        shown = ""
        paths = ("/", "/alerts", "/alerts/1", "/deliveries", "/dead-letters", "/baselines", "/latency")
        for path in paths:
            page = await stage.page(path)
            shown += words(page)
            assert "<script>" not in page
            assert "<img" not in page
            assert "<b>" not in page
        for name in HOSTILE:
            assert name in shown
            for path in ("/alerts", "/latency", "/baselines"):
                page = (await stage.client.get(path, params={"operation": name})).text
                assert "<script>" not in page
                assert "<img" not in page
                assert "<b>" not in page
        found = await stage.client.get("/alerts", params={"operation": HOSTILE[0]})
        assert len(ROWS.findall(found.text)) == 2, "a link with a hostile name finds that operation: a head and one row"


async def test_no_secret_and_no_whole_address_is_shown(database: str) -> None:
    """Whatever somebody has written into rows by hand, webhooks, keys and mail addresses are masked on every page."""
    secret = "https://hooks.slack.com/services/T00/B00/abcdefSECRET"
    alerts = await Alerts.connect(database)
    number = await alerts.alert("commit")
    await alerts.rows(LOGGED, number, "slack", "ada.lovelace@example.com", f"POST {secret} token=geheim123", None)
    await alerts.rows(LETTER, number, "slack", secret, "password=geheim123", "commit")
    await alerts.rows(DESTINATION, "k", "slack", secret, "key 0123456789abcdef0123456789abcdef")
    await alerts.close()
    async with console(database) as stage:
        for path in (*PAGES, "/alerts/1"):
            page = await stage.page(path)
            for word in ("SECRET", "geheim", "lovelace", "0123456789abcdef0123456789abcdef"):
                assert word not in page, (path, word)
        assert "a***@example.com" in await stage.page("/deliveries")


async def test_the_policy_allows_our_own_files_only(database: str) -> None:
    """Every page forbids inline and foreign code by its policy, and holds none that the policy would have to stop."""
    await fill(database)
    async with console(database) as stage:
        for path in (*PAGES, "/alerts/63", "/alerts/4711"):
            reply = await stage.client.get(path)
            policy = reply.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self';")
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert reply.headers["cache-control"] == "no-store"
            assert reply.headers["referrer-policy"] == "no-referrer"
            assert reply.headers["x-content-type-options"] == "nosniff"
            assert not re.search(r"\s(style|on[a-z]+)=", reply.text), path
            assert not re.search(r"<style|<script(?! src=\"/console/)", reply.text), path
            assert not re.search(r"""(?:src|href|action)="(?:[a-z]+:|//)""", reply.text), path


async def test_pages_can_only_be_read(database: str) -> None:
    """GET and HEAD are answered, HEAD without a body; everything else is 405."""
    async with console(database) as stage:
        for path in (*PAGES, "/alerts/1"):
            head, get = await stage.client.head(path), await stage.client.get(path)
            assert (head.status_code, head.content) == (get.status_code, b"")
            for method in ("POST", "PUT", "DELETE", "PATCH"):
                assert (await stage.client.request(method, path)).status_code == 405


async def test_assets_may_be_kept_for_as_long_as_they_are_the_same(database: str) -> None:
    """Style sheet, script and icon are ours, named by their content and cached; what is not there is 404."""
    async with console(database) as stage:
        page = await stage.page("/")
        names = re.findall(r'"(/console/[a-z.]+\?v=[0-9a-f]{12})"', page)
        assert len(names) == 3
        for name in names:
            reply = await stage.client.get(name)
            assert reply.status_code == 200
            assert "immutable" in reply.headers["cache-control"]
        for name in ("x.css", "..%2fview.py", "page.html.j2"):
            assert (await stage.client.get(f"/console/{name}")).status_code == 404


async def test_many_readers_cost_one_reading(database: str) -> None:
    """Pages asked for at once read the database once each and one after the other, and not again for two seconds."""
    async with console(database) as stage:
        replies = await asyncio.gather(*(stage.client.get(path) for path in ("/", "/alerts", "/deliveries") * 8))
        assert {reply.status_code for reply in replies} == {200}
        assert (stage.database.readings, stage.database.most) == (3, 1)
        stage.clock.at += 1.9
        await stage.client.get("/")
        assert stage.database.readings == 3
        stage.clock.at += 0.2
        await stage.client.get("/")
        assert stage.database.readings == 4


async def test_while_the_database_is_away_pages_say_so_with_the_reason(database: str) -> None:
    """A database never reached is told on every page within two seconds; there are no figures, so the status is 503."""
    async with console(database.replace("dbname=", "dbname=no_such_")) as stage:
        for path in (*PAGES, "/alerts/1"):
            began = time.monotonic()
            page = words(await stage.page(path, 503))
            assert time.monotonic() - began < 2
            assert "The database can't be read." in page
            assert "There are no earlier figures" in page
        async with asyncio.timeout(20):
            while "does not exist" not in page:
                page = words(await stage.page("/", 503))


async def test_an_outage_leaves_the_last_figures_with_their_age(database: str) -> None:
    """When a database goes away its last figures stay, with age and reason, and are renewed when it is back."""
    await fill(database)
    admin = await Alerts.connect(re.sub(r"dbname=\S+", "dbname=postgres", database))
    name = re.search(r"dbname=(\S+)", database)
    assert name is not None
    async with console(database) as stage:
        for path in PAGES:
            await stage.page(path)
        await admin.rows(f"ALTER DATABASE {name[1]} ALLOW_CONNECTIONS FALSE")
        await admin.rows("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", name[1])
        stage.clock.at += 83
        for path in PAGES:
            began = time.monotonic()
            reply = await stage.client.get(path)
            assert time.monotonic() - began < 2
            page = words(reply.text)
            assert reply.status_code == 200
            assert "The database can't be read." in page
            assert re.search(r"What follows is \d min( \d+ s)? old", page), page
        assert "baselines" in page
        await admin.rows(f"ALTER DATABASE {name[1]} ALLOW_CONNECTIONS TRUE")
        async with asyncio.timeout(20):
            while "be read" in await stage.page("/"):
                pass
    await admin.close()


async def test_a_lock_on_pggits_tables_holds_up_no_page(database: str) -> None:
    """While somebody holds a table locked pages are answered in time with the reason, and others are not affected."""
    await fill(database)
    alerts = await Alerts.connect(database)
    async with console(database) as stage:
        async with alerts.connection.transaction():
            await alerts.rows("LOCK TABLE pggit.performance_alerts IN ACCESS EXCLUSIVE MODE")
            for path in ("/", "/alerts", "/alerts/63"):
                began = time.monotonic()
                assert "The database can't be read." in words(await stage.page(path, 503))
                assert time.monotonic() - began < 2
            assert "HTTP 503" in await stage.page("/deliveries"), "what is not locked can be read"
        assert "merge_branches" in await stage.page("/")
    await alerts.close()


async def test_a_server_that_never_answers_holds_up_no_page() -> None:
    """Behind a peer that accepts and then says nothing each page is there within two seconds, the second one too."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        port = silent.getsockname()[1]
        async with console(f"host=127.0.0.1 port={port} dbname=x user=x") as stage:
            for path in ("/", "/alerts", "/"):
                began = time.monotonic()
                assert "did not answer" in words(await stage.page(path, 503))
                assert time.monotonic() - began < 2


async def test_what_is_wrong_with_the_replica_is_told_on_every_page(database: str) -> None:
    """A reason that the process knows of stands above the figures, without any address in it."""
    async with console(database) as stage:
        stage.replica.reasons = ("waiting: the schema is older than this release (mail ada@example.com)",)
        page = words(await stage.page("/deliveries"))
    assert "This replica: waiting: the schema is older than this release (mail a***@example.com)" in page
