"""Skills: what they are to Python, how workers take them from a queue, and those that come along."""
