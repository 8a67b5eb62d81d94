"""Moments as people read them at night: how long ago, and when exactly."""

from datetime import UTC, datetime


def moment(at: datetime | None, age: str | None) -> str:
    """Return "2026-01-31 03:12:09Z (5 min ago)"; what has no time holds now."""
    if at is None:
        return "now"
    shown = at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return f"{shown} ({age} ago)" if age else shown
