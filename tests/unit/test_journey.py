"""What the demo counts as an arrival, and which latencies it speaks of."""

from datetime import UTC, datetime

import pytest

from pggit_alertd.demo.journey import Journey, Ledger, Outage, Progress, summary
from pggit_alertd.demo.sinks import Answer, HttpRequest, HttpSink

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def journey(alert_id: int = 1, channel: str = "slack", attempt: int = 1) -> Journey:
    """Return a notification that was sent."""
    return Journey(
        alert_id,
        alert_id,
        channel,
        "sent",
        attempt,
        "commit",
        "THRESHOLD_EXCEEDED",
        "INFO",
        2.0,
        escalated=False,
        routed_at=NOW,
        processed_at=NOW,
        error=None,
        message_id=alert_id,
    )


def slack(alert_id: int, at: float) -> HttpRequest:
    """Return a Slack message about an alert."""
    return HttpRequest("POST", "/services/T/B/X", {}, f'{{"text": "alert {alert_id}"}}'.encode(), at, at)


@pytest.mark.parametrize("answer", [Answer(503), Answer(429), Answer(302), Answer(200, hang=True)])
async def test_what_the_receiver_refuses_is_no_arrival(answer: Answer) -> None:
    """A message that is refused or never answered counts as seen by nobody; the one that is taken counts once."""
    sink, ledger = HttpSink(), Ledger()
    requests: list[HttpRequest] = []
    sink.on_accepted, sink.on_request = ledger.request, requests.append
    sink.script(answer)
    sink.answer(slack(1, 10.0))
    assert ledger.arrived == {}
    sink.answer(slack(1, 11.0))
    assert ledger.arrived == {(1, "slack"): [11.0]}
    assert len(requests) == 2


@pytest.mark.parametrize(
    ("committed", "arrived", "undisturbed"),
    [
        (98.0, 99.0, True),
        (99.9, 103.0, False),
        (101.0, 103.0, False),
        (102.5, 103.0, False),
        (102.5, 103.4, False),
        (103.1, 103.2, True),
    ],
    ids=["before", "caught by it", "during", "behind the breaker", "in the drain", "after"],
)
def test_what_an_outage_held_up_is_no_latency_of_a_first_attempt(
    committed: float, arrived: float, undisturbed: bool
) -> None:
    """Slack is down from 100 to 102 and takes its next message at 103: who met any of that is left out, mail is not."""
    ledger = Ledger(committed={1: committed, 9: 101.5}, outages=[Outage(100.0, 102.0)])
    ledger.request(slack(9, 103.0))
    ledger.request(slack(1, arrived))
    ledger.arrived[1, "email"] = [arrived]
    assert ledger.undisturbed(journey()) is undisturbed
    assert ledger.undisturbed(journey(channel="email"))
    assert not ledger.undisturbed(journey(channel="email", attempt=2))


def test_of_nothing_there_is_no_latency() -> None:
    """A demo that is stopped before anything arrives has no figures, and an alert that was not seen is lost."""
    assert summary(Progress(0, 0, []), Ledger())["latency_ms"] == {"p50": None, "p99": None}
    assert summary(Progress(1, 0, [journey()]), Ledger(committed={1: 1.0}))["lost"] == 1
