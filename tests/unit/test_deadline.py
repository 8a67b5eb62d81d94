"""Work under a deadline ends as it would under asyncio.timeout, whether it waits or not."""

import asyncio
from contextvars import ContextVar

import pytest

from pggit_alertd.deadline import within

WORD: ContextVar[str] = ContextVar("WORD", default="none")


async def test_work_that_never_waits_sets_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends at once returns or raises, without a timer on the loop."""

    def timer(*_: object, **__: object) -> None:
        raise AssertionError("a timer was set")

    async def answer() -> int:
        return 7

    async def failure() -> int:
        raise ValueError("no")

    monkeypatch.setattr(asyncio, "timeout_at", timer)
    assert await within(1.0, answer()) == 7
    with pytest.raises(ValueError, match="no"):
        await within(1.0, failure())


async def test_work_that_waits_goes_on_in_the_same_task() -> None:
    """Results, exceptions, the current task and context variables are those of the caller, wait after wait."""
    told: list[object] = []
    first: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    second: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def work() -> str:
        WORD.set("set before")
        told.append(asyncio.current_task())
        told.append(await first)
        told.append(asyncio.current_task())
        try:
            await second
        except ValueError as error:
            told.append(str(error))
        await asyncio.sleep(0)
        return WORD.get()

    async def caller() -> str:
        found = await within(5.0, work())
        return found + WORD.get()

    task = asyncio.create_task(caller())
    await asyncio.sleep(0)
    first.set_result("heard")
    await asyncio.sleep(0)
    second.set_exception(ValueError("told"))
    assert await task == "set beforeset before"
    assert told == [task, "heard", task, "told"]


async def test_work_that_waits_too_long_is_cancelled() -> None:
    """The deadline counts from the call, the work sees the cancellation, and the caller's task goes on."""
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    with pytest.raises(TimeoutError):
        await within(0.01, work())
    assert seen == ["cancelled"]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_deadline_within_a_deadline_keeps_them_apart() -> None:
    """The work's own time-out ends in the work, and it may answer after it."""

    async def work() -> str:
        try:
            async with asyncio.timeout(0.005):
                await asyncio.Event().wait()
        except TimeoutError:
            return "own"
        return "never"

    assert await within(5.0, work()) == "own"
    with pytest.raises(TimeoutError):
        await within(0.005, within(5.0, asyncio.Event().wait()))


async def test_a_cancelled_caller_cancels_the_work() -> None:
    """Cancelling from outside is no time-out."""
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    task = asyncio.create_task(within(5.0, work()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["work"]


def test_a_caller_that_is_closed_closes_the_work() -> None:
    """A loop that ends without letting its tasks finish leaves no work half open."""
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    async def left_open() -> None:
        waiting = within(5.0, work())
        waiting.send(None)
        waiting.close()

    asyncio.run(left_open())
    assert ended == ["work"]
