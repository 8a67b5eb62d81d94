"""Which kind of database this is: decided by columns alone, never by version text, before anything is changed.

Five kinds are met in the wild (docs/design/databases.md). Two are pgGit's tables in a form we install beside, one is
empty and gets the tables from us, and two are refused, because `IF NOT EXISTS` would silently keep tables that only
look like ours. This module is pure: it reads what migrate fetched from the catalogs.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from pggit_alertd.database.migrations import Release
from pggit_alertd.errors import SchemaRefused

Columns = Mapping[str, Mapping[str, str]]
"""Relation name → column name → type, for everything in schema pggit."""


class Kind(StrEnum):
    """A kind of database that we install on."""

    EMPTY = "empty"
    BRANCH_ID = "branch_id"
    ID = "id"

    @property
    def branch_key(self) -> str:
        """Return the key column of the branches table, which names the variants in sql/views."""
        return "id" if self is Kind.ID else "branch_id"


_TEXT = ("text", "character varying")
_BIGINT = ("bigint",)
_INTEGER = ("integer",)
_TIMESTAMP = ("timestamp without time zone",)

_BRANCHES: Mapping[Kind, Mapping[str, Sequence[str]]] = {
    Kind.BRANCH_ID: {"branch_id": _INTEGER, "branch_name": _TEXT},
    Kind.ID: {"id": _INTEGER, "name": _TEXT},
}

_NEEDED: Mapping[str, Mapping[str, Sequence[str]]] = {
    "performance_metrics": {
        "metric_id": _BIGINT,
        "operation_type": _TEXT,
        "operation_name": _TEXT,
        "duration_microseconds": _BIGINT,
        "branch_id": _INTEGER,
        "user_name": _TEXT,
        "recorded_at": _TIMESTAMP,
        "period_start": _TIMESTAMP,
    },
    "performance_baselines": {
        "baseline_id": _BIGINT,
        "operation_type": _TEXT,
        "branch_id": _INTEGER,
        "baseline_date": ("date",),
        "calculation_timestamp": _TIMESTAMP,
        "sample_count": _INTEGER,
        "min_microseconds": _BIGINT,
        "max_microseconds": _BIGINT,
        "p50_microseconds": _BIGINT,
        "p75_microseconds": _BIGINT,
        "p90_microseconds": _BIGINT,
        "p95_microseconds": _BIGINT,
        "p99_microseconds": _BIGINT,
        "mean_microseconds": ("numeric",),
        "stddev_microseconds": ("numeric",),
        "alert_threshold_multiplier": ("numeric",),
        "is_active": ("boolean",),
        "calculated_from_days": _INTEGER,
    },
    "performance_alerts": {
        "alert_id": _BIGINT,
        "metric_id": _BIGINT,
        "baseline_id": _BIGINT,
        "operation_type": _TEXT,
        "alert_type": _TEXT,
        "severity": _TEXT,
        "baseline_p99_microseconds": _BIGINT,
        "actual_duration_microseconds": _BIGINT,
        "violation_multiplier": ("numeric",),
        "branch_id": _INTEGER,
        "user_name": _TEXT,
        "is_acknowledged": ("boolean",),
        "acknowledged_at": _TIMESTAMP,
        "acknowledged_by": _TEXT,
        "resolution_notes": _TEXT,
        "created_at": _TIMESTAMP,
    },
    "merge_performance_metrics": {
        "merge_metric_id": _BIGINT,
        "source_branch_id": _INTEGER,
        "target_branch_id": _INTEGER,
        "merge_base_calculation_us": _BIGINT,
        "conflict_detection_us": _BIGINT,
        "conflict_count": _INTEGER,
        "auto_resolution_us": _BIGINT,
        "auto_resolution_success_count": _INTEGER,
        "auto_resolution_failure_count": _INTEGER,
        "total_merge_us": _BIGINT,
        "merge_status": _TEXT,
        "started_at": _TIMESTAMP,
        "completed_at": _TIMESTAMP,
    },
    "performance_operation_types": {"operation_type": _TEXT, "is_tracked": ("boolean",)},
}
"""The columns of weeks 1 and 2 that our SQL touches, and the types it can take."""

_LEDGER = ("kind", "name", "checksum", "release", "applied_at")
_UNCHANGED = "Nothing was changed."
_ELSEWHERE = "Point PGGIT_ALERTD_DATABASE_URL at a database with pgGit v0.1.0's performance tables, or at an empty one."


def detect(columns: Columns, release: Release, routines: Mapping[str, str], *, installed: bool) -> Kind:
    """Return the kind of database that `columns` describe.

    `routines` are the names and signatures of the functions in schema pggit. `installed` says that our ledger has rows,
    so tables under our names are ours. Raises SchemaRefused naming table, column and type, and what to do.
    """
    branches, metrics = columns.get("branches"), columns.get("performance_metrics")
    if branches is None and metrics is None:
        kind = _empty(columns, release, installed=installed)
    elif branches is None:
        name, found = _first(columns, "performance_metrics")
        raise SchemaRefused(
            f"pggit.performance_metrics exists (pggit.performance_metrics.{name} is {found}) but pggit.branches "
            f"doesn't: half of pgGit is missing. Restore pggit.branches, or use another database. {_UNCHANGED}"
        )
    elif metrics is None:
        name, found = _first(columns, "branches")
        raise SchemaRefused(
            f"pggit.branches exists (pggit.branches.{name} is {found}) but pggit.performance_metrics doesn't: pgGit is "
            f"installed without its performance monitoring. Install that first (pgGit v0.1.0). {_UNCHANGED}"
        )
    else:
        kind = _dialect(branches)
        _refuse_other_types(columns)
    if not installed:
        _refuse_foreign(columns, release, routines)
    return kind


def has_ledger(columns: Columns) -> bool:
    """Return whether our ledger is there. Raises SchemaRefused if a table of that name isn't ours."""
    ledger = columns.get("alertd_migration")
    if ledger is None:
        return False
    strange = next((name for name in _LEDGER if name not in ledger), None)
    if strange is not None:
        raise SchemaRefused(
            f"pggit.alertd_migration.{strange} is missing: a table that is not ours has that name. Rename it, or use "
            f"another database. {_UNCHANGED}"
        )
    return True


def _empty(columns: Columns, release: Release, *, installed: bool) -> Kind:
    if installed:
        raise SchemaRefused(
            "pggit.branches and pggit.performance_metrics are gone, but pggit.alertd_migration says that pggit-alertd "
            f"was installed here. Restore pgGit's tables, or drop schema pggit and migrate anew. {_UNCHANGED}"
        )
    for table in sorted(release.foundation_tables()):
        if table in columns:
            name, found = _first(columns, table)
            raise SchemaRefused(
                f"pggit.{table} exists (pggit.{table}.{name} is {found}) without pggit.branches and "
                f"pggit.performance_metrics: half of pgGit is missing. {_ELSEWHERE} {_UNCHANGED}"
            )
    return Kind.EMPTY


def _dialect(branches: Mapping[str, str]) -> Kind:
    for kind, needed in _BRANCHES.items():
        if all(branches.get(name) in types for name, types in needed.items()):
            return kind
    found = ", ".join(f"pggit.branches.{name} is {branches[name]}" for name in list(branches)[:2])
    raise SchemaRefused(
        f"{found}, where branch_id integer and branch_name text (or id and name) are needed: not a pgGit that "
        f"pggit-alertd works on. {_ELSEWHERE} {_UNCHANGED}"
    )


def _refuse_other_types(columns: Columns) -> None:
    differences = [
        (table, name, columns.get(table, {}).get(name), types[0])
        for table, needed in _NEEDED.items()
        for name, types in needed.items()
        if columns.get(table, {}).get(name) not in types
    ]
    if not differences:
        return
    # A column of another type says more than one that is missing, so it comes first.
    differences.sort(key=lambda difference: difference[2] is None)
    table, name, found, needed = differences[0]
    what = f"is {found}" if found else ("is missing" if table in columns else "is missing with its whole table")
    rest = f" ({len(differences) - 1} more columns differ)" if len(differences) > 1 else ""
    dialect = (
        "These are the tables of pgGit main (v0.1.2 and later), which pggit-alertd can't read."
        if found == "uuid"
        else "These are not the performance tables of pgGit v0.1.0."
    )
    raise SchemaRefused(f"pggit.{table}.{name} {what}, {needed} is needed{rest}. {dialect} {_ELSEWHERE} {_UNCHANGED}")


def _refuse_foreign(columns: Columns, release: Release, routines: Mapping[str, str]) -> None:
    """Refuse tables, views and functions that stand where ours would go, and that we didn't make."""
    remedy = f"Remove or rename that system's objects (pg_dump them first), or use another database. {_UNCHANGED}"
    ours = release.tables()
    for table in sorted(ours.keys() & columns.keys()):
        strange = {name: found for name, found in columns[table].items() if name not in ours[table]}
        if strange:
            name, found = next(iter(strange.items()))
            raise SchemaRefused(
                f"pggit.{table} belongs to another notification system: pggit.{table}.{name} ({found}) is no column of "
                f"ours. {remedy}"
            )
    for table in sorted(ours.keys() & columns.keys()):
        name, found = _first(columns, table)
        raise SchemaRefused(
            f"pggit.{table} exists (pggit.{table}.{name} is {found}), but pggit.alertd_migration has no record of "
            f"it: it was made by another system or by hand. {remedy}"
        )
    for view in sorted(release.view_names() & columns.keys()):
        name, found = _first(columns, view)
        raise SchemaRefused(f"pggit.{view} exists (pggit.{view}.{name} is {found}) and is not ours. {remedy}")
    for routine in sorted(release.routine_names() & routines.keys()):
        raise SchemaRefused(f"The function {routines[routine]} exists and is not ours. {remedy}")


def _first(columns: Columns, table: str) -> tuple[str, str]:
    return next(iter(columns[table].items()), ("(no column)", "empty"))
