"""Figures on the record."""

from __future__ import annotations


def rounded(figure: float) -> float:
    """To six significant decimals: the next release of a library finds the same figure, whatever its last bit is."""
    return float(f"{figure:.6g}")
