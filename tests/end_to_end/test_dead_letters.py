"""Dead letters of a running daemon: made by a receiver that refuses, and sent or discarded with the command."""

from psycopg.conninfo import make_conninfo

from pggit_alertd.demo.sinks import Answer
from support.command_line import alertd
from support.daemon import Stage


async def test_what_was_refused_is_delivered_after_its_replay(set_up: Stage) -> None:
    """A 404 makes dead letters; mended and replayed they arrive at once; a discarded one is not counted any more."""
    await set_up.slack()
    set_up.http.always(Answer(404, "no_service"))
    daemon = await set_up.run()
    await set_up.storm(3)
    await set_up.settled(3)
    url = make_conninfo(set_up.dsn)
    listed = await alertd("deadletter", "list", "--reason", "destination_gone", "--json", database_url=url)
    numbers = [each["queue_id"] for each in listed.json["dead_letters"]]
    assert len(numbers) == 3
    assert await daemon.metric("pggit_alertd_dead_letters") == 3

    set_up.http.always(None)
    received = set_up.http.received
    discarded = await alertd(
        "deadletter", "discard", str(numbers[0]), "--reason-text", "seen elsewhere", database_url=url
    )
    assert discarded.status == 0, discarded.err
    replayed = await alertd("deadletter", "replay", "--since", "1h", database_url=url)
    assert replayed.out == "Replayed: 2 notifications.\n"
    await set_up.until("SELECT count(*) FROM pggit.alert_notification_queue WHERE status = 'sent'", 2)
    assert set_up.http.received == received + 2
    explained = await alertd("explain", "1", database_url=url)
    assert explained.status == 0, explained.err
    assert "given up: destination gone, attempt 1, answer 404" in explained.out
    assert (await alertd("deadletter", "list", database_url=url)).out == "There is no dead letter.\n"
    assert await daemon.stop() == 0
    assert await (await set_up.run()).metric("pggit_alertd_dead_letters") == 0
