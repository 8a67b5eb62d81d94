"""Circuit breakers for tests: a quick rule, failures, and time that goes by for an open destination."""

from pggit_alertd.model import Claim, Outcome, Reason, Verdict
from pggit_alertd.store import BreakerRule, Store
from support.claims import ack

RULE = BreakerRule(threshold=3, base=10.0, cap=60.0, condemned=900.0)
WAIT = "SELECT extract(EPOCH FROM open_until - now())::float8 FROM pggit.alert_destination"
LATER = "UPDATE pggit.alert_destination SET open_until = now()"


async def fail(mine: Store, claims: list[Claim], verdict: Verdict = Verdict.TRANSIENT) -> None:
    """Acknowledge claims as failed, to be tried again at once."""
    reason = Reason.SERVER_ERROR if verdict is Verdict.TRANSIENT else Reason.AUTH
    await mine.acknowledge([ack(c, Outcome.RETRY, verdict=verdict, detail="HTTP 503", reason=reason) for c in claims])
