"""A deadline that costs nothing for work that never waits.

`asyncio.timeout` sets a timer and takes it back: 5 µs of CPU, for work that may be over before it has waited for
anything. Here the work runs up to the first thing it waits for, and the timer is set only if there is one.
"""

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Return what the work returns. Raises TimeoutError, and cancels the work, `seconds` after the call."""
    deadline = asyncio.get_running_loop().time() + seconds
    try:
        waits_for = work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    async with asyncio.timeout_at(deadline):
        return await _continued(work, waits_for)


@coroutine
def _continued(work: Coroutine[Any, Any, T], waits_for: object) -> Generator[Any, Any, T]:
    """Await work that has begun and waits: what `await` does, but for the first step.

    The task is handed what the work waits for, and the work what comes of it, until the work has ended.
    """
    while True:
        answer, thrown = None, None
        try:
            answer = yield waits_for
        except GeneratorExit:
            work.close()
            raise
        except BaseException as error:  # noqa: BLE001 - not handled here: the work itself gets it, as with `await`
            thrown = error
        try:
            waits_for = work.send(answer) if thrown is None else work.throw(thrown)
        except StopIteration as done:
            result: T = done.value
            return result
