"""Connections to SQLite and PostgreSQL, and where a database lies."""
