"""Splitting the traffic of a front over releases, with weights that change live."""
