"""What an SMTP reply means at each step of the conversation: pure functions over code and text.

4yz may succeed later, 5yz will not (RFC 5321 4.2.1); the enhanced code behind it (RFC 3463) tells whose fault a 5yz is.
The step decides what is condemned: a recipient at RCPT, the message at DATA, the whole destination when we can't even
log in.
"""

# ruff: noqa: PLR2004 - reply codes stand as the protocol writes them

import re
from dataclasses import dataclass
from enum import StrEnum

from pggit_alertd.model import Reason, Scope

_ENHANCED = re.compile(r"\s*([245])\.(\d{1,3})\.(\d{1,3})\b")
_AUTH_CODES = frozenset({530, 534, 535, 538})


class Step(StrEnum):
    """Where in the conversation a reply came."""

    CONNECT = "greeting"
    HELLO = "EHLO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    BODY = "end of data"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a refusal means. `scope` is None where trying again can help; `smaller` where a smaller message can."""

    reason: Reason
    scope: Scope | None = None
    smaller: bool = False


def enhanced(text: str) -> tuple[int, int] | None:
    """Return subject and detail of the enhanced status code a reply's text starts with."""
    found = _ENHANCED.match(text)
    return (int(found[2]), int(found[3])) if found else None


def judge(step: Step, code: int, text: str) -> Verdict:  # noqa: C901, PLR0911 - one return a row of the table
    """Return what a reply that is not the hoped-for one means."""
    if 400 <= code < 500:
        return Verdict({Step.AUTH: Reason.AUTH, Step.STARTTLS: Reason.TLS}.get(step, Reason.SERVER_ERROR))
    if not 500 <= code < 600:
        return Verdict(Reason.UNEXPECTED_REPLY)
    status = enhanced(text)
    if step is Step.STARTTLS:
        return Verdict(Reason.TLS, Scope.DESTINATION)
    if step is Step.AUTH or code in _AUTH_CODES:
        return Verdict(Reason.AUTH, Scope.DESTINATION)
    if step in {Step.CONNECT, Step.HELLO}:
        return Verdict(Reason.DESTINATION_GONE, Scope.DESTINATION)
    if step is Step.RCPT:
        # Postfix and others say what is wrong with the sender only once they hear of a recipient.
        if status in {(1, 7), (1, 8)}:
            return Verdict(Reason.CLIENT_ERROR, Scope.DESTINATION)
        # 552 here meant "too many recipients" in RFC 821; RFC 5321 4.5.3.1.10 says to read it as 452.
        if code == 552 and status not in {(2, 1), (2, 2)} and (status is None or status[0] != 1):
            return Verdict(Reason.SERVER_ERROR)
        return Verdict(Reason.REFUSED_RECIPIENT, Scope.RECIPIENT)
    if status in {(3, 4), (2, 3)} or (code == 552 and (status is None or status[0] in {2, 3})):
        return Verdict(Reason.REFUSED_MESSAGE, Scope.MESSAGE, smaller=True)
    # The sender is ours, the same for every mail: nothing gets through until somebody mends it.
    if step is Step.MAIL and status is not None and status[0] in {1, 7}:
        return Verdict(Reason.AUTH if status[0] == 7 else Reason.CLIENT_ERROR, Scope.DESTINATION)
    if status in {(1, 7), (1, 8)}:
        return Verdict(Reason.CLIENT_ERROR, Scope.DESTINATION)
    return Verdict(Reason.REFUSED_MESSAGE, Scope.MESSAGE)
