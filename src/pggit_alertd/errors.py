"""One exception tree, on two axes: whose fault it is, and whether trying again can help.

AlertdError
├── SettingsError            operator: the environment or a file it names; permanent until mended
├── AddressTaken             operator: another program listens where this one was told to; passes when that one ends
├── DatabaseError
│   ├── DatabaseUnavailable  nobody's: the server can't be reached right now; transient
│   ├── DatabaseRefused      operator: wrong password, missing database or privilege; permanent until mended
│   ├── DatabaseLocked       somebody's open transaction: it holds a lock for longer than was waited; transient
│   │   └── NotificationsLocked  the same, of the named notifications; others can be stored
│   ├── DatabaseRejected     the data's: these values can't be stored, others can; permanent
│   └── SchemaError
│       ├── SchemaRefused    operator: these tables are not ones we install on; permanent
│       ├── SchemaMissing    operator: not migrated yet; mended by `pggit-alertd migrate up`
│       ├── SchemaOutdated   operator: older than this program; mended by `pggit-alertd migrate up`
│       ├── SchemaTooNew     operator: newer than this program; mended by upgrading the program
│       └── ChecksumDrift    operator: an applied migration's text has changed; permanent
├── JobError
│   ├── JobBusy              nobody's: somebody else does the same work right now; transient, costs no attempt
│   └── JobIncomplete        the data's: part of the work failed, the rest is done; the message names the part
├── SettingUnknown           operator: no notification setting has that number or name; the message lists what there is
├── SnoozeError
│   ├── SnoozeRefused        operator: no window can be made of this; the message says what to write instead
│   └── SnoozeUnknown        operator: there is no such window, or it is over; nothing was changed
├── BacktestError
│   ├── BacktestRefused      operator: no such period can be replayed; the message says what to write instead
│   └── BacktestEmpty        operator: nothing was recorded in the period; the message says what there is
├── LabelRefused             operator: a line of a label file can't be used; the message names it and the mend
├── DestinationError         operator: a notification setting's config can't be used; permanent for that setting
│   └── ChannelNotReady      operator: the config may be right, but the program lacks what its channel needs
└── RenderingError           ours or a template's: the built-in plain text takes over

Messages are whole sentences that end with what to do. They never hold a password, a webhook path or a routing key.
"""

from collections.abc import Collection, Mapping


class AlertdError(Exception):
    """Base of every error this program raises on purpose."""


class SettingsError(AlertdError):
    """The environment holds a value that can't be used; the message names the variable and the mend."""


class AddressTaken(AlertdError):
    """Another program listens at the address and port to be used; it may end, so trying again can help."""


class DatabaseError(AlertdError):
    """PostgreSQL could not do what was asked."""


class DatabaseUnavailable(DatabaseError):
    """PostgreSQL can't be reached right now; trying again later can help."""


class DatabaseRefused(DatabaseError):
    """PostgreSQL answered and said no: password, database, role or privilege need mending."""


class DatabaseLocked(DatabaseError):
    """Somebody's transaction holds a lock for longer than was to be waited; trying again later can help."""


class NotificationsLocked(DatabaseLocked):
    """Somebody's transaction holds the rows of these notifications; nothing was stored, and without them all can be."""

    def __init__(self, queue_ids: Collection[int]) -> None:
        super().__init__(
            f"A transaction holds {len(queue_ids)} rows of pggit.alert_notification_queue; find it in pg_stat_activity."
        )
        self.queue_ids = queue_ids


class DatabaseRejected(DatabaseError):
    """PostgreSQL can't store these values, though it could store others; trying again unchanged can't help."""


class SchemaError(DatabaseError):
    """The schema in the database is not the one this program works with."""


class SchemaRefused(SchemaError):
    """The database holds tables of another kind under our names; nothing was changed."""


class SchemaMissing(SchemaError):
    """The database has not been migrated; run `pggit-alertd migrate up`."""


class SchemaOutdated(SchemaError):
    """The schema is older than this program; run `pggit-alertd migrate up`."""


class SchemaTooNew(SchemaError):
    """The schema was migrated by a newer release; upgrade this program."""


class ChecksumDrift(SchemaError):
    """A migration's text differs from what was applied; released migrations never change."""


class JobError(AlertdError):
    """A scheduled job did not do all of its work."""


class JobBusy(JobError):
    """Somebody else does the same work right now; trying again later can help, and costs no attempt."""


class JobIncomplete(JobError):
    """Part of a job's work failed; what could be done is done. `result` is what came of it."""

    def __init__(self, message: str, result: Mapping[str, object]) -> None:
        super().__init__(message)
        self.result = result


class SettingUnknown(AlertdError):
    """No notification setting has the number or name that was asked for; the message lists those there are."""


class SnoozeError(AlertdError):
    """A window that mutes notifications can't be made or ended as asked."""


class SnoozeRefused(SnoozeError):
    """No window can be made of what was asked for; the message says what to write instead."""


class SnoozeUnknown(SnoozeError):
    """There is no such window, or it is over already; nothing was changed."""


class BacktestError(AlertdError):
    """A past period can't be replayed as asked."""


class BacktestRefused(BacktestError):
    """No such period can be replayed; the message says what to write instead."""


class BacktestEmpty(BacktestError):
    """Nothing was recorded in the period; the message says what there is."""


class LabelRefused(AlertdError):
    """A label file has no label, or a line that is none; the message names the line and says what to write instead."""


class DestinationError(AlertdError):
    """A notification setting's config can't be used; the message says which key and what it should hold."""


class ChannelNotReady(DestinationError):
    """The program lacks what the channel needs, a variable or a library; the message names it. No row needs mending."""


class RenderingError(AlertdError):
    """A message could not be rendered; the built-in plain text takes over."""
