"""Runs commands in forks of one process that has imported what they need, which is most of what a command costs.

Each is a process of its own all the same: its arguments, environment, output and exit are those of a command that a
shell starts. That the program starts and imports by itself is held in test_cli_basics.py, and by every daemon.

Each message from its socket is a request: arguments and environment as JSON, with three descriptors: standard output,
standard error, and where to write the exit status. It ends when the other side is closed.
"""

import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
import time

import pggit_alertd
from pggit_alertd.cli import main

# Apprise brings a second of imports of its own, and hardly any command loads it or the demo.
ELSEWHERE = ("pggit_alertd.__main__", "pggit_alertd.channels.apprise_library", "pggit_alertd.demo")
REQUEST_LIMIT = 2**20


def preload() -> None:
    """Import all of the program but what is rarely needed."""
    for module in pkgutil.walk_packages(pggit_alertd.__path__, "pggit_alertd."):
        if not module.name.startswith(ELSEWHERE):
            importlib.import_module(module.name)
    gc.freeze()  # else each command, as it ends, would look through and copy all of this: 0.3 s of CPU instead of 0.08


def serve(requests: socket.socket) -> bool:
    """Start commands until nobody asks any more; return True in a process that is to be a command, False at the end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever waits for a command is waited for by nobody
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, REQUEST_LIMIT, 3)
        if not message:
            return False
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            requests.close()
            return become(json.loads(message), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def become(request: dict[str, dict[str, str]], out: int, err: int, status: int) -> bool:
    """Turn into the command in a child, which alone returns, and wait for it."""
    child = os.fork()
    if child:
        os.close(out)
        os.close(err)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.write(status, str(ended).encode())
        os._exit(0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    for descriptor in (out, err, status):
        os.close(descriptor)
    # The streams of the first process remember what they were opened on.
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    sys.argv = ["pggit-alertd", *request["arguments"]]
    return True


if __name__ == "__main__":
    preload()
    if serve(socket.socket(fileno=int(sys.argv[1]))):
        main()
