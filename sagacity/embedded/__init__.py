"""Servers of our own: nats-server and PostgreSQL as supervised children, in one data directory."""
