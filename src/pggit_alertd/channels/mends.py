"""What somebody does about a delivery that failed, by its reason; for those who tried it and look at the answer."""

from collections.abc import Mapping
from types import MappingProxyType

from pggit_alertd.model import Reason

MENDS: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.RATE_LIMITED: "wait, and let the setting say less (min_interval, group_by)",
        Reason.SERVER_ERROR: "the fault is at the receiver and may pass; try again, and look at its status page or log",
        Reason.CLIENT_ERROR: "compare the address in the setting with what the receiver tells you to use",
        Reason.TIMEOUT: "see that it runs, and that firewalls on the way let this machine through; it may pass",
        Reason.CONNECTION: "see that name and port are right, that it runs, and that firewalls let us through",
        Reason.TLS: "look at its certificate and, for an authority of your own, at SSL_CERT_FILE here",
        Reason.AUTH: "mend the key, the password or the webhook that is set for it",
        Reason.REFUSED_RECIPIENT: "mend the addresses in the setting",
        Reason.REFUSED_MESSAGE: "the receiver's own log says what it dislikes",
        Reason.DESTINATION_GONE: "make a new webhook or key at the receiver, and write it into the setting",
        Reason.UNEXPECTED_REPLY: "something in between may have answered, such as a proxy; ask from here by hand",
        Reason.INVALID_SETTING: "mend the setting, or the variable that is named",
        Reason.INTERNAL: "that is a fault of this program; please report it with the lines above",
    }
)


def mended(sentence: str, reason: Reason) -> str:
    """Return the sentence with what to do about this reason behind it, if there is anything."""
    mend = MENDS.get(reason)
    return f"{sentence}; {mend}" if mend else sentence
