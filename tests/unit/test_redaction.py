"""What is masked, what is left to read, and that neither costs much."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pggit_alertd import redaction
from pggit_alertd.channels import apprise, pagerduty, slack, webhook
from pggit_alertd.redaction import LIMIT, MASK, Redactor

KEY = "R0ABCDEFGHIJKLMNOPQRSTUVWXYZ1234"
HEX = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:p@ss/w:rd@h:5432/db", "postgresql://u:***@h:5432/db"),
        ("could not connect to postgres://u:pw@h/db: refused", "could not connect to postgres://u:***@h/db: refused"),
        ("smtps://mailer:geheim@mx:465", "smtps://mailer:***@mx:465"),
        ("POSTGRESQL://u:pw@h", "POSTGRESQL://u:***@h"),
        ("https://token1234@api.example.com/x", "https://***@api.example.com/x"),
        ("https://hooks.slack.com/services/T0/B0/XyZ now", "https://hooks.slack.com/*** now"),
        ("POST http://127.0.0.1:81/services/T0/B0/XyZ?a=1", "POST http://127.0.0.1:81/services/***?a=1"),
        ("https://hooks.slack.com/workflows/A/B/1/c", "https://hooks.slack.com/***"),
        (f"routing key {KEY} refused", "routing key *** refused"),
        (f"key_{HEX}.", "key_***."),
        ('{"routing_key": "abc", "severity": "critical"}', '{"routing_key": ***, "severity": "critical"}'),
        ("{'webhook_url': 'http://h/x', 'n': 1}", "{'webhook_url': ***, 'n': 1}"),
        ("password=it's geheim", "password=*** geheim"),
        ("host=h password='two words' user=u", "host=h password=*** user=u"),
        ("Authorization: Bearer abcdefghijkl", "Authorization: *** ***"),
        ("sent AUTH PLAIN AGFsZXJ0AGdlaGVpbQ==", "sent AUTH PLAIN ***"),
        ("xoxb-1234567890-abc", MASK),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", MASK),
        ('Claim(config=\'{"service_key": "x"}\', n=1)', "Claim(config=***, n=1)"),
    ],
)
def test_secrets_of_a_known_shape_are_masked(text: str, shown: str) -> None:
    """Every shape is masked inside running text, and what stands around it is left."""
    assert redaction.text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "delivery attempted",
        'password authentication failed for user "alertd"',
        "connection to server at 10.0.0.1, port 5432 failed: Connection refused",
        "2024-01-01T02:03:04.123456Z",
        "postgresql://alertd@db:5432/app",
        "https://events.pagerduty.com/v2/enqueue: 202",
        "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "recalculate_all_baselines_rolling_and_more",
        "routing_failed in router",
        "http://[::1]:8580",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    """What an operator needs to read is not masked."""
    assert redaction.text(text) == text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://hooks.slack.com/services/T/B/x", "https://hooks.slack.com/***"),
        ("https://u:p@h:8443/", "https://h:8443/***"),
        ("https://events.pagerduty.com", "https://events.pagerduty.com"),
        ("geheim", MASK),
        ("http://[::1", MASK),
    ],
)
def test_a_url_is_cut_down_to_where_it_points(url: str, shown: str) -> None:
    """Of a URL under a url's name the origin is shown and no more."""
    assert redaction.url(url) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("postgresql:///app?host=/run/pg&port=5433&user=ann", "postgresql:///app?host=/run/pg&port=5433&user=ann"),
        ("postgresql://ann:geheim@%2Frun%2Fpg:5433/app", "postgresql://ann:***@%2Frun%2Fpg:5433/app"),
        ("postgresql://ann:geheim@a:1,[::1]:2/app?sslmode=require", "postgresql://ann:***@a:1,[::1]:2/app?sslmode=require"),
        ("postgresql://ann:ge/he@im@db/app", "postgresql://ann:***@db/app"),
        ("postgresql://ann@db/app?p%61ssword=geheim", "postgresql://ann@db/app?***"),
        ("postgresql://db/app?sslpassword=geheim&scram_client_key=geheim", "postgresql://db/app?sslpassword=***&***"),
        ("postgresql://ann:geheim", MASK),
        ("host=/run/pg port=5433 user=ann password='ge heim'", "host=/run/pg port=5433 user=ann password=***"),
        ("host = db scram_client_key=geheim user=ann", "host = db *** user=ann"),
        ("dbname='host=db password=geheim'", MASK),
        ("host=db password=ge 'heim", MASK),
    ],
)  # fmt: skip
def test_a_connection_string_shows_where_it_leads(value: str, shown: str) -> None:
    """Host or socket, port, database and user are left, under a URL's name in a log too; a password never is."""
    assert redaction.connection(value) == shown
    assert Redactor().event({"PGGIT_ALERTD_DATABASE_URL": value}) == {"PGGIT_ALERTD_DATABASE_URL": shown}


@pytest.mark.parametrize(
    "name",
    ["password", "SMTP_PASSWORD", "pwd", "client_secret", "webhook_url", "routing_key", "serviceKey", "token", "config",
     "slack_config", "config_sealed", "Authorization", "dsn", "conninfo", "api-key", "apikey", "credentials"],
)  # fmt: skip
def test_values_under_a_telling_name_are_masked(name: str) -> None:
    """A name that promises a secret is enough, at any depth."""
    redactor = Redactor()
    assert redactor.named(name, "x") == MASK
    assert not redactor.named(name, ""), "what is not set is shown as not set"
    assert redactor.event({"outer": [{name: ["x"]}]}) == {"outer": [{name: MASK}]}


def test_a_number_under_a_webhook_s_name_is_a_count() -> None:
    """A webhook is a URL, so a number there hides nothing; under a password's name a number may be the secret."""
    redactor = Redactor()
    for number in (20, 2.5, "20", "2.5"):
        assert redactor.named("WEBHOOK_CONCURRENCY", number) == number
        assert redactor.named("password", number) == MASK
    for other in ("T00/B00/x", "20 T00", "1" * 32, ["20"], {"n": 1}):
        assert redactor.named("webhooks", other) == MASK


@pytest.mark.parametrize("name", ["channel", "dedup_key", "config_hash", "attempt", "event", "key", "tokenless"[:3]])
def test_values_under_other_names_are_shown(name: str) -> None:
    """Names of the product's own that only sound alike are left."""
    assert Redactor().named(name, "x") == "x"


def test_known_secrets_are_masked_wherever_they_stand() -> None:
    """A password of the settings is masked without any shape around it, also as it is written in a URL."""
    redactor = Redactor(["s€cret/with space", "short"])
    assert redactor.text("got s€cret/with space and s%E2%82%ACcret%2Fwith%20space, short") == "got *** and ***, short"
    assert redactor.event({"a": 1, "b": "s€cret/with space"}) == {"a": 1, "b": MASK}


def test_every_type_becomes_plain() -> None:
    """Bytes, sets, objects and what can't be printed come out as JSON's types, masked."""

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no")

    value = {
        "b": b"password=x",
        "s": {1},
        "t": (1.5, None, True, float("nan")),
        "o": ValueError("token=x"),
        "x": Broken(),
    }
    assert Redactor().event(value) == {
        "b": "password=***",
        "s": [1],
        "t": [1.5, None, True, "nan"],
        "o": "token=***",
        "x": "<Broken: unprintable, RuntimeError>",
    }


def test_depth_has_a_bound() -> None:
    """A structure that holds itself ends."""
    loop: list[object] = []
    loop.append(loop)
    assert "…" in str(Redactor().value(loop))


def test_long_text_is_cut_without_half_a_secret() -> None:
    """A secret that the limit cuts in two has no known shape any more, so it goes with the end."""
    for place in range(LIMIT - 60, LIMIT + 5):
        text = "x " * (place // 2) + "postgresql://u:geheimgeheimgeheim@h" + " y" * LIMIT
        assert "geheim" not in redaction.text(text)


@given(st.text(max_size=200), st.text(max_size=200))
def test_a_webhook_never_survives_its_surroundings(before: str, after: str) -> None:
    """Whatever stands around a webhook in a text, its path is gone."""
    assert "T0SECRET" not in redaction.text(f"{before}https://hooks.slack.com/services/T0SECRET/B0SECRET/x {after}")


@pytest.mark.parametrize("example", [slack.EXAMPLE, pagerduty.EXAMPLE, webhook.EXAMPLE, apprise.EXAMPLE])
def test_the_examples_of_our_own_hints_stay_readable(example: str) -> None:
    """What says how to mend a config is no secret; a placeholder with one letter more is masked as ever."""
    assert redaction.text(f"The config is empty; put a JSON object such as {example}.").endswith(f"{example}.")
    for placeholder in redaction.PLACEHOLDERS:
        assert "<the" not in redaction.text(f'{{"webhook": "{placeholder}x"}}')


@given(st.dictionaries(st.text(max_size=20), st.recursive(st.none() | st.floats() | st.text(), st.lists, max_leaves=5)))
def test_masking_is_total(event: dict[str, object]) -> None:
    """Any event comes back as one, with as many keys."""
    assert isinstance(Redactor().event(event), dict)


@pytest.mark.parametrize(
    "make",
    [
        lambda: "://a:" * 3000,
        lambda: "password='" * 1500,
        lambda: "a" * 16_000,
        lambda: "0123456789" * 1600,
        lambda: "bearer " * 2300,
        lambda: "-----BEGIN PRIVATE KEY-----" * 600,
        lambda: "config=\\" * 2000,
        lambda: "/services/a" * 1400,
    ],
)
def test_hostile_text_costs_little(make: Callable[[], str]) -> None:
    """Text made to send patterns into backtracking is masked in well under a second of computing."""
    text = make()
    began = time.process_time()
    redaction.text(text)
    assert time.process_time() - began < 0.5
