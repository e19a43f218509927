"""Rows: reading and describing files of them, and keeping them by the hash of their content."""
