"""What a check says: its name, how it went, and what to do about it."""

from dataclasses import dataclass, field
from enum import StrEnum

from pggit_alertd.errors import AlertdError


class Status(StrEnum):
    """How a check went. A warning is something that works, or will until the next bad day."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One finding; the message says what to do.

    `error` is what lies behind the failure of something that everything else stands on: it decides the exit status.
    """

    name: str
    status: Status
    message: str
    error: AlertdError | None = field(default=None, repr=False, compare=False)

    @classmethod
    def failure(cls, name: str, error: AlertdError) -> "CheckResult":
        """Return the finding that an error is."""
        return cls(name, Status.FAILED, str(error), error)
