"""Skills that nobody vouches for: each call in a process of its own, within limits that the kernel keeps."""
