"""Keeps a cancellation that a library swallowed.

On Python 3.11, asyncio.wait_for() returns its result and drops the cancellation when both come in the same turn of the
event loop (python/cpython#86296, mended in 3.12). psycopg_pool waits for a free connection that way. A loop that is
cancelled once, at shutdown, would go on for ever.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_cancellation() -> Iterator[None]:
    """Raise CancelledError at the end of a block in which the task was cancelled and nobody raised it."""
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    yield
    if task and task.cancelling() > before:
        raise asyncio.CancelledError
