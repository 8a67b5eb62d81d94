"""What became of the notifications of a scenario, counted where they left and where they arrived."""

from dataclasses import dataclass

from support.daemon import Stage


@dataclass(frozen=True, slots=True)
class Tally:
    """`lost`: not sent by the log, or never arrived, whichever is more; `twice`: arrivals beyond the first of each.

    `doubtful` counts the attempts that the log itself calls possible duplicates, such as an answer that came too late
    on a machine with too much to do.
    """

    sent: int
    lost: int
    twice: int
    doubtful: int


async def tally(stage: Stage, expected: int, path: str = "") -> Tally:
    """Count `expected` notifications by the delivery log and by what the HTTP sink has received under `path`.

    The log has a row for each alert and setting, however many of them a message carries. At the sink a message is known
    by the alert's words or key, so alerts must be of different operations to be told apart.
    """
    arrived = stage.requests(path)
    logged = await stage.logged("sent")
    doubtful = await stage.alerts.value("SELECT count(*) FROM pggit.alert_notification_log WHERE maybe_duplicate")
    return Tally(
        sent=expected,
        lost=max(expected - len(arrived), expected - len(logged), 0),
        twice=arrived.total() - len(arrived),
        doubtful=doubtful,
    )
