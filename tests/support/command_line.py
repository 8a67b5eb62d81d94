"""The command as people run it: a process of its own, with an environment that holds nothing but what the test says."""

import asyncio
import atexit
import functools
import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 60.0
FORKS = Path(__file__).with_name("command_forks.py")


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The answer of a command that was asked for JSON."""
        return json.loads(self.out)

    @property
    def said(self) -> str:
        """Everything that was printed, wherever."""
        return self.out + self.err


def environment(**settings: str) -> dict[str, str]:
    """Return an environment with these settings; lower-case names are settings, others are variables as they are."""
    variables = {name if name.isupper() else f"PGGIT_ALERTD_{name.upper()}": text for name, text in settings.items()}
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **variables}


async def run(*command: str, **settings: str) -> Ended:
    """Run any program and return what came of it."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(**settings),
        cwd="/",
    )
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    return Ended(process.returncode or 0, out.decode(), err.decode())


@functools.cache
def forks() -> socket.socket:
    """Start what commands are forked from, once for all tests of this process; it ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, str(FORKS), str(theirs.fileno())]
    process = subprocess.Popen(  # noqa: S603 - this very program
        command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=environment(), cwd="/"
    )
    theirs.close()
    atexit.register(process.wait, 10)
    atexit.register(ours.close)
    return ours


async def read(descriptor: int) -> str:
    """Return what comes through a pipe until nobody holds its other end."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
    )
    try:
        return (await reader.read()).decode()
    finally:
        transport.close()


async def alertd(*arguments: str, **settings: str) -> Ended:
    """Run pggit-alertd in a process of its own, without paying for its imports each time."""
    request = json.dumps({"arguments": arguments, "environment": environment(**settings)}).encode()
    pipes = [os.pipe() for _ in range(3)]
    sent = [end for _, end in pipes]
    try:
        socket.send_fds(forks(), [request], sent)
    finally:
        for end in sent:
            os.close(end)
    async with asyncio.timeout(PATIENCE):
        out, err, status = await asyncio.gather(*(read(end) for end, _ in pipes))
    return Ended(int(status), out, err)


async def alertd_afresh(*arguments: str, **settings: str) -> Ended:
    """Run pggit-alertd as a shell does, in an interpreter that has imported nothing."""
    return await run(sys.executable, "-m", "pggit_alertd", *arguments, **settings)
