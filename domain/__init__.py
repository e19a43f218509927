"""The business: pure deciders, one file each. Nothing here knows a clock, a network or a database."""
