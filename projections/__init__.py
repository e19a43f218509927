"""Read models as folds of the log."""
