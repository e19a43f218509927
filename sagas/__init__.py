"""Long-running processes: pure plans and reactions, and the runner that carries them out."""
