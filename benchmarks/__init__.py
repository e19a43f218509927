"""Everything that is said about speed, measured beside its peer or limit in one run. `make bench`."""
