"""Answers: the versions in use in memory, questions in batches, every answer recorded."""
