"""From rows to a fitted model and its file, and how good it is."""
