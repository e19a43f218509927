"""Models at work: data by content hash, training in processes of their own, serving, and what is observed of it."""
