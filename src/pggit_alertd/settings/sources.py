"""Where values come from: the environment and the files it names. Nothing else in the program reads the environment.

`PGGIT_ALERTD_X_FILE=/run/secrets/x` stands for `PGGIT_ALERTD_X` with the file's content, which is how Docker and
Kubernetes secrets and systemd's LoadCredential= hand over a password without putting it where `ps e` shows it.
An empty variable counts as not set, because that is what compose files make of a variable they don't know.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PREFIX = "PGGIT_ALERTD_"
LARGEST_FILE = 65_536
# systemd's protocol sets these names, so they carry no prefix of ours and no _FILE twin.
UNPREFIXED = {"notify_socket": "NOTIFY_SOCKET", "watchdog_usec": "WATCHDOG_USEC", "watchdog_pid": "WATCHDOG_PID"}

# Kubernetes puts these into every pod for a Service called pggit-alertd or pggit-alertd-anything.
_SERVICE_LINK = re.compile(r"(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)")
_UNREADABLE: tuple[tuple[type[Exception], str], ...] = (
    (FileNotFoundError, "does not exist"),
    (PermissionError, "may not be read by this user"),
    (IsADirectoryError, "is a directory"),
)
_SERVICE_LINK_VALUE = re.compile(r"(?:tcp|udp|sctp)://\S+")


def variable(name: str) -> str:
    """Return the environment variable of a field."""
    return UNPREFIXED.get(name, f"{PREFIX}{name.upper()}")


@dataclass(slots=True)
class Gathered:
    """What the environment holds: raw text by field, where each came from, and what is wrong or odd about it."""

    values: dict[str, str] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def gather(names: Iterable[str], environ: Mapping[str, str]) -> Gathered:
    """Read every field's variable or file. Problems are collected, never raised: the reader wants all of them."""
    found = Gathered()
    known: set[str] = set()
    for name in names:
        key = variable(name)
        known.add(key)
        direct = environ.get(key, "")
        if key.endswith("_PORT") and _SERVICE_LINK_VALUE.fullmatch(direct):
            found.warnings.append(
                f"{key} was set by Kubernetes for a Service of that name and is ignored; rename the Service or set "
                "enableServiceLinks: false in the pod's spec"
            )
            direct = ""
        path = ""
        if name not in UNPREFIXED:
            known.add(f"{key}_FILE")
            path = environ.get(f"{key}_FILE", "")
        if direct and path:
            found.problems.append((name, f"{key}: is given twice, also as {key}_FILE; keep one of the two"))
        elif direct:
            _take(found, name, key, direct, "environment")
        elif path:
            _read(found, name, f"{key}_FILE", path)
    found.warnings.extend(_strangers(known, environ))
    return found


def _read(found: Gathered, name: str, key: str, path: str) -> None:
    try:
        with Path(path).open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = next((words for kind, words in _UNREADABLE if isinstance(error, kind)), "can't be read")
        found.problems.append((name, f"{key}: the file {path} {reason}; write the path of a readable file"))
        return
    if len(content) > LARGEST_FILE:
        found.problems.append((name, f"{key}: the file {path} is larger than 64 KiB; write the path of the right file"))
        return
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        found.problems.append(
            (name, f"{key}: the file {path} is not UTF-8 text; write the value into it as plain text")
        )
        return
    if not text.strip():
        found.problems.append((name, f"{key}: the file {path} is empty; write the value into it"))
        return
    _take(found, name, key, text, f"file {path}")


def _take(found: Gathered, name: str, key: str, text: str, origin: str) -> None:
    if "\0" in text:
        found.problems.append((name, f"{key}: holds a zero byte; write plain text"))
        return
    found.values[name] = text.removesuffix("\n").removesuffix("\r")
    found.origins[name] = origin


def _strangers(known: set[str], environ: Mapping[str, str]) -> Iterable[str]:
    """Yield a warning for each variable that looks like ours and is not. They are no error: others may set them."""
    for key in sorted(environ):
        if not key.upper().startswith(PREFIX) or key in known:
            continue
        if _SERVICE_LINK.fullmatch(key.removeprefix(PREFIX)) or (
            key.endswith("_PORT") and _SERVICE_LINK_VALUE.fullmatch(environ[key])
        ):
            continue
        close = difflib.get_close_matches(key.upper(), sorted(known), n=1, cutoff=0.75)
        hint = f"did you mean {close[0]}?" if close else "`pggit-alertd config` lists the settings there are"
        yield f"{key} is not a setting and is ignored; {hint}"
