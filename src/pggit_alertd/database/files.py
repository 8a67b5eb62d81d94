"""Where the SQL lives: beside `src/` in a checkout, inside the package in a wheel."""

from functools import cache
from pathlib import Path


@cache
def sql_directory() -> Path:
    """Return the folder that holds foundation/, migrations/, functions/, views/ and queries/."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "sql"
    if inside.is_dir():
        return inside
    checkout = package.parent.parent / "sql"
    if checkout.is_dir():
        return checkout
    raise FileNotFoundError(f"no sql/ folder at {inside} or {checkout}; reinstall pggit-alertd")
