"""The one line that everybody reads: what happened, to one alert or to several, and what has become of it."""

from pggit_alertd.model import Event, Notification
from pggit_alertd.rendering import digests
from pggit_alertd.rendering.facts import NAME_LIMIT, statement
from pggit_alertd.rendering.text import one_line, utc

ACTOR_LIMIT = 80

_EVENT_WORDS = {Event.ACKNOWLEDGED: "Acknowledged", Event.RESOLVED: "Resolved"}


def headline(notification: Notification) -> str:
    """Return one line that says what happened: who did it, and what it is about.

    An event whose trigger was never sent tells beginning and end, because nobody has heard of the beginning.
    """
    test = "[TEST] " if notification.test else ""
    return f"{test}{_event_words(notification)}{summary(notification)}{_course(notification)}"


def summary(notification: Notification, name_limit: int = NAME_LIMIT) -> str:
    """Return the headline without what depends on the event, so that a thread keeps one subject."""
    if notification.digest is not None and notification.digest.count > 1:
        return digests.statement(notification.alert, notification.digest, name_limit)
    return statement(notification.alert, name_limit)


def actor(notification: Notification) -> str:
    """Return who acknowledged or resolved, or nothing."""
    who = notification.alert.actor
    return one_line(who, ACTOR_LIMIT) if who and notification.event is not Event.TRIGGERED else ""


def _event_words(notification: Notification) -> str:
    word = _EVENT_WORDS.get(notification.event)
    if word is None:
        return ""
    who = actor(notification)
    return f"{word} by {who}: " if who else f"{word}: "


def _course(notification: Notification) -> str:
    if not notification.folded or notification.event is Event.TRIGGERED:
        return ""
    word = "over" if notification.event is Event.RESOLVED else "acknowledged"
    ended = f"{word} at {utc(notification.alert.occurred_at)}"
    began = notification.alert.began_at
    return f"; began at {utc(began)}, {ended}" if began is not None else f"; {ended}, before its beginning was told"
