"""Check that what people have set for anomaly detection counts for something."""

from collections.abc import Sequence

from pggit_alertd.checks.result import CheckResult, Status
from pggit_alertd.database.pool import Database
from pggit_alertd.redaction import text


async def detection(database: Database) -> Sequence[CheckResult]:
    """Return one warning for each row that changes nothing: a mistyped operation, an entry that can match nothing."""
    rows = await database.fetch("check_detection")
    return [CheckResult("detection", Status.WARNING, f"{text(subject)}: {problem}") for subject, problem in rows] or [
        CheckResult("detection", Status.OK, "every setting of anomaly detection counts")
    ]
