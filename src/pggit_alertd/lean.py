"""Keeps out of memory what libraries load only because it happens to be installed.

structlog's development console and httpx's command line both import rich and pygments where they find them: 7 MB of a
daemon that uses neither.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Make imports of these modules fail meanwhile, unless they are loaded already."""
    absent = [name for name in names if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]  # how the import system marks what can't be had
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
