"""The SQL tables, one module a noun, on one database file. SQL is the source of truth; indexes are derived from it."""
