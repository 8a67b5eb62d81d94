"""Texts that have broken things elsewhere, and notifications made of anything a database row could hold."""

from datetime import UTC

from hypothesis import strategies as st

from pggit_alertd.model import Alert, Digest, Event, Notification, Severity

NASTY = [
    "<!channel> <!here> <!everyone> <@U123> <https://evil.example|click>",
    "a\r\nBcc: victim@example.com\r\n\r\nbody",
    "a\nSubject: other",
    "\x00\x01\x1b[31m\x7f\x85\u2028\u2029",
    "\u202egnp.exe\u2066",
    "\ud800\udfff lone",
    "&amp;&lt;" * 500,
    "=?utf-8?q?=0D=0ABcc:_x?=",
    '"}],"text":"x',
    "${jndi:ldap://x} {{7*7}} {% raw %} %s %(name)s",
    "<script>alert(1)</script>",
    "```` ``` *_~`",
    "x" * 1_000_000,
    "👩‍👩‍👧‍👦" * 3000,
    "\u0301" * 5000,
    "ﷺ" * 5000,
    ".\r\n.\r\n",
]
TEXT = st.one_of(
    st.text(max_size=80), st.text(st.characters(codec=None, categories=None), max_size=60), st.sampled_from(NASTY)
)
NUMBER = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))


MOMENT = st.datetimes(timezones=st.just(UTC))


@st.composite
def alerts(draw: st.DrawFn) -> Alert:
    """Return an alert made of anything a database row could hold, and more."""
    return Alert(
        alert_id=draw(NUMBER),
        operation_type=draw(TEXT),
        alert_type=draw(st.one_of(st.sampled_from(["THRESHOLD_EXCEEDED", "ANOMALY", "DEGRADATION", "SYSTEM"]), TEXT)),
        severity=draw(st.sampled_from(list(Severity))),
        message=draw(TEXT),
        occurred_at=draw(MOMENT),
        duration_us=draw(NUMBER),
        baseline_p99_us=draw(NUMBER),
        factor=draw(st.one_of(st.none(), st.floats())),
        operation_name=draw(st.one_of(st.none(), TEXT)),
        branch=draw(st.one_of(st.none(), TEXT)),
        user_name=draw(st.one_of(st.none(), TEXT)),
        metric_id=draw(NUMBER),
        escalated=draw(st.booleans()),
        note=draw(st.one_of(st.none(), TEXT)),
        actor=draw(st.one_of(st.none(), TEXT)),
        began_at=draw(st.one_of(st.none(), MOMENT)),
    )


@st.composite
def notifications(draw: st.DrawFn) -> Notification:
    """Return a notification about one alert or several, of any event."""
    alert = draw(alerts())
    others = draw(st.lists(alerts(), max_size=3))
    # A long list costs Hypothesis too much; repeating one alert fills it as well.
    worst = (alert, *others, *([others[-1]] * draw(st.integers(0, 20)) if others else []))
    digest = Digest(draw(st.integers(0, 10**9)), draw(MOMENT), draw(MOMENT), worst)
    return Notification(
        key=draw(TEXT),
        dedup_key=draw(TEXT),
        alert=alert,
        event=draw(st.sampled_from(list(Event))),
        test=draw(st.booleans()),
        source=draw(TEXT),
        digest=draw(st.sampled_from([None, digest])),
        folded=draw(st.booleans()),
    )
