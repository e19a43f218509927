"""Figures over time with marks, drawn as PNG files and in terminals."""
