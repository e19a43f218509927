"""What a record is about and what its fields say: told apart by a model, read by rules, asked for where allowed."""
