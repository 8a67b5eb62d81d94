"""The files of a release's schema, and what of them a database still lacks.

Foundation and migrations are immutable: each is applied once, in the order of its number, and a changed text is drift.
Functions, views and roles are declarations: they are applied again whenever their text differs from what was applied.
A function whose file vanished from the release stays in the database, because an older replica may still call it.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path

from pggit_alertd.database.files import sql_directory
from pggit_alertd.errors import ChecksumDrift, SchemaError, SchemaTooNew

_CREATED = re.compile(r"^CREATE TABLE pggit\.([a-z_0-9]+)([^;]*)", re.MULTILINE)
_FUNCTION = re.compile(r"^CREATE OR REPLACE (?:FUNCTION|PROCEDURE) pggit\.([a-z_0-9]+)", re.MULTILINE)
_VIEW = re.compile(r"^CREATE OR REPLACE VIEW pggit\.([a-z_0-9]+)", re.MULTILINE)
_COMMENT = re.compile(r"--[^\n]*")
_WORD = re.compile(r"[a-z_0-9]+")

FOUND = "-"
"""The checksum of a foundation that was there already."""


class ScriptKind(StrEnum):
    """What a file is, in the order in which they are applied."""

    FOUNDATION = "foundation"
    MIGRATION = "migration"
    FUNCTION = "function"
    VIEW = "view"
    ROLES = "roles"

    @property
    def immutable(self) -> bool:
        """Whether a file of this kind never changes once it has been applied anywhere."""
        return self in (ScriptKind.FOUNDATION, ScriptKind.MIGRATION)


@dataclass(frozen=True)
class Script:
    """One SQL file of the release."""

    kind: ScriptKind
    name: str
    path: str
    text: str

    @cached_property
    def checksum(self) -> str:
        """Return the SHA-256 of the text; line ends are normalized, so a Windows checkout is no drift."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Applied:
    """One row of pggit.alertd_migration."""

    kind: ScriptKind
    name: str
    checksum: str
    release: str
    applied_at: datetime


class Release:
    """The schema that this release of the program brings along. Every file is read once, here."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.ledger = self._read("ledger.sql")
        self.foundation = self._scripts(ScriptKind.FOUNDATION, sorted(directory.glob("foundation/*.sql")))
        forward = [path for path in directory.glob("migrations/*.sql") if not path.name.endswith(".down.sql")]
        self.migrations = self._scripts(ScriptKind.MIGRATION, sorted(forward))
        self.functions = self._scripts(ScriptKind.FUNCTION, sorted(directory.glob("functions/*/*.sql")))
        views = sorted(directory.glob("views/*.sql"))
        self._views = dict(zip((path.stem for path in views), self._scripts(ScriptKind.VIEW, views), strict=True))
        self.roles = self._scripts(ScriptKind.ROLES, [directory / "roles.sql"])
        _refuse_twins((*self.foundation, *self.migrations, *self.functions))

    def views(self, branch_key: str) -> tuple[Script, ...]:
        """Return the views for a database whose branches table has the key column `branch_key`.

        `<view>.<key>.sql` is the text for one dialect of branches; these come first, since other views stand on them.
        Within each group the order is by name.
        """
        dialect = (script for stem, script in self._views.items() if stem.endswith(f".{branch_key}"))
        common = (script for stem, script in self._views.items() if "." not in stem)
        return (*dialect, *common)

    def scripts(self, branch_key: str, *, foundation: bool) -> tuple[Script, ...]:
        """Return every file in the order of application, with or without the foundation."""
        first = self.foundation if foundation else ()
        return (*first, *self.migrations, *self.functions, *self.views(branch_key), *self.roles)

    def tables(self) -> dict[str, frozenset[str]]:
        """Return the tables our migrations create, each with the words of its definition.

        The words tell a column that is ours from a foreign one, without a second list that could go stale.
        """
        found: dict[str, frozenset[str]] = {}
        for script in self.migrations:
            for name, body in _CREATED.findall(_COMMENT.sub("", script.text)):
                if "PARTITION OF" not in body:
                    found[name] = frozenset(_WORD.findall(body))
        return found

    def foundation_tables(self) -> frozenset[str]:
        """Return the tables the foundation creates."""
        return frozenset(name for script in self.foundation for name, _ in _CREATED.findall(script.text))

    def routine_names(self) -> frozenset[str]:
        """Return the names of the functions that this release declares."""
        return frozenset(name for script in self.functions for name in _FUNCTION.findall(script.text))

    def view_names(self) -> frozenset[str]:
        """Return the names of the views that this release declares."""
        return frozenset(name for script in self._views.values() for name in _VIEW.findall(script.text))

    def _read(self, name: str) -> str:
        return (self._directory / name).read_text(encoding="utf-8")

    def _scripts(self, kind: ScriptKind, paths: Iterable[Path]) -> tuple[Script, ...]:
        return tuple(
            Script(
                kind=kind,
                name=path.stem.partition(".")[0],
                path=path.relative_to(self._directory).as_posix(),
                text=path.read_text(encoding="utf-8"),
            )
            for path in paths
        )


@cache
def bundled() -> Release:
    """Return the schema of the running program, read from disk the first time only: readiness asks for it often."""
    return Release(sql_directory())


def pending(
    scripts: Sequence[Script], ledger: Sequence[Applied], *, absent: AbstractSet[str] = frozenset()
) -> tuple[Script, ...]:
    """Return the files that have to be applied, in order.

    `absent` are views that are not there, whatever the ledger says: dropping a dashboard is a way to hide it, which the
    daemon's own check lets be, and `migrate up` to bring it back.

    Raises SchemaTooNew for a migration this release doesn't have, ChecksumDrift for one whose text has changed, and
    SchemaError if two releases disagree about a migration's number.
    """
    applied = {(row.kind, row.name): row for row in ledger}
    refuse_newer(scripts, ledger)
    due: list[Script] = []
    for script in scripts:
        row = applied.get((script.kind, script.name))
        if row is None:
            due.append(script)
        elif row.checksum != script.checksum or (script.kind is ScriptKind.VIEW and script.name in absent):
            if script.kind.immutable:
                raise ChecksumDrift(
                    f"sql/{script.path} differs from what release {row.release} applied on {row.applied_at:%Y-%m-%d}. "
                    "Applied migrations never change: restore the file (reinstall pggit-alertd), and put the change "
                    "into a new migration. Nothing was changed."
                )
            due.append(script)
    _refuse_gaps(due, applied)
    return tuple(due)


def downgrades(due: Iterable[Script], ledger: Iterable[Applied], release: str) -> tuple[Script, ...]:
    """Return the files among `due` that a release newer than `release` has applied: ours would undo its work."""
    applied = {(row.kind, row.name): row for row in ledger}
    ours = version_key(release)
    rows: list[Script] = []
    for script in due:
        row = applied.get((script.kind, script.name))
        if row is not None and version_key(row.release) > ours:
            rows.append(script)
    return tuple(rows)


def version_key(release: str) -> tuple[int, ...]:
    """Return the numbers of a release's version, for comparison."""
    return tuple(int(number) for number in re.findall(r"\d+", release)[:3])


def refuse_newer(scripts: Sequence[Script], ledger: Sequence[Applied]) -> None:
    """Raise SchemaTooNew if the ledger has a foundation file or a migration that is not among these."""
    known = {(script.kind, script.name) for script in scripts}
    newer = [
        row for row in ledger if row.kind.immutable and row.checksum != FOUND and (row.kind, row.name) not in known
    ]
    if newer:
        row = newer[0]
        raise SchemaTooNew(
            f"The database has {row.kind} {row.name}, applied by release {row.release}, which this program doesn't "
            f"know. Install pggit-alertd {row.release} or later. Nothing was changed."
        )


def _refuse_gaps(due: Sequence[Script], applied: Mapping[tuple[ScriptKind, str], Applied]) -> None:
    """Refuse a migration that sorts before one already applied: it was numbered on another branch of development."""
    latest = max((name for kind, name in applied if kind is ScriptKind.MIGRATION), default="")
    for script in due:
        if script.kind is ScriptKind.MIGRATION and script.name < latest:
            raise SchemaError(
                f"sql/{script.path} is not applied, but the later {latest} is. Give the file the next free number. "
                "Nothing was changed."
            )


def _refuse_twins(scripts: Sequence[Script]) -> None:
    seen: dict[tuple[ScriptKind, str], Script] = {}
    for script in scripts:
        number = script.name.partition("_")[0] if script.kind.immutable else script.name
        twin = seen.setdefault((script.kind, number), script)
        if twin is not script:
            raise SchemaError(
                f"sql/{twin.path} and sql/{script.path} have the same number or name; rename one of them."
            )
