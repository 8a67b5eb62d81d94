"""The design document's own SQL, to measure ours against: bench/document/*.sql, in a schema called document.

Each file has the document's text with the smallest corrections that make it run and do what its section says; its
header names them. What is wrong without failing (the statistics, the bottleneck that is grouped by itself) stays.
"""

from pathlib import Path

import psycopg

FOLDER = Path(__file__).resolve().parent / "document"
FIRST_AND_LAST = {"schema.sql": 0, "of_all.sql": 2}


def install(connection: psycopg.Connection) -> None:
    """Create the schema document with the document's functions and views; pggit must be there already."""
    for file in sorted(FOLDER.glob("*.sql"), key=lambda each: (FIRST_AND_LAST.get(each.name, 1), each.name)):
        connection.execute(file.read_bytes())
