"""One contract for the ledger, on SQLite and on Postgres."""
