"""Rules that people write as data: what sets them off, and what is done then."""
