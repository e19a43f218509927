"""What chasing an answer needs from libraries."""
