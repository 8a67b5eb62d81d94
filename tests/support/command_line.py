"""The command as people run it: a process of its own, with an environment that holds nothing but what the test says."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from typing import Any

PATIENCE = 60.0


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


async def alertd(*arguments: str, **settings: str) -> Ended:
    """Run pggit-alertd."""
    return await run(sys.executable, "-m", "pggit_alertd", *arguments, **settings)
