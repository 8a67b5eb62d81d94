"""The design document's own SQL, to measure ours against: bench/document/*.sql, in a schema called document.

Each file has the document's text with the smallest corrections that make it run and do what its section says; its
header names them. What is wrong without failing (the statistics, the bottleneck that is grouped by itself) stays.
"""

from pathlib import Path

import psycopg

FOLDER = Path(__file__).resolve().parent / "document"
SCHEMA = FOLDER / "schema.sql"


def install(connection: psycopg.Connection) -> None:
    """Create the schema document with the document's functions and views; pggit must be there already."""
    for file in (SCHEMA, *(each for each in sorted(FOLDER.glob("*.sql")) if each != SCHEMA)):
        connection.execute(file.read_bytes())
