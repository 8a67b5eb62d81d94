"""Lists that travel as array literals arrive as they were."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pggit_alertd.database import arrays
from pggit_alertd.database.pool import Connection

ANY_TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
HARD_TEXT = st.text(st.sampled_from("{},\"\\ NULL\n\t'"), max_size=8)


def lists(element: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Return lists of the element, often of one value several times, as columns of results are."""
    return st.lists(element, max_size=5) | st.builds(lambda value, times: [value] * times, element, st.integers(1, 4))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lists(st.none() | ANY_TEXT | HARD_TEXT),
    lists(st.none() | st.integers(-(2**63), 2**63 - 1)),
    lists(st.none() | st.floats(allow_nan=False)),
    lists(st.none() | st.booleans()),
    lists(st.datetimes(datetime(1900, 1, 1), datetime(2300, 1, 1), timezones=st.just(UTC))),  # noqa: DTZ001 - bounds
)
async def test_what_goes_in_comes_out(  # noqa: PLR0917 - one for each kind of list
    connection: Connection,
    texts: list[str | None],
    integers: list[int | None],
    floats: list[float | None],
    booleans: list[bool | None],
    instants: list[datetime],
) -> None:
    """Any text, number, truth value and instant, and NULL among them, is the same after PostgreSQL has read it."""
    cursor = await connection.execute(
        "SELECT %s::text [], %s::bigint [], %s::double precision [], %s::boolean [], %s::timestamptz []",
        (
            arrays.texts(texts),
            arrays.numbers(integers),
            arrays.numbers(floats),
            arrays.numbers(booleans),
            arrays.instants(instants),
        ),
    )
    assert await cursor.fetchone() == (texts, integers, floats, booleans, instants)
