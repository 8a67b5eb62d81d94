"""Everything that speaks PostgreSQL's protocol: connections, LISTEN, named queries, migrations, embedded servers."""
