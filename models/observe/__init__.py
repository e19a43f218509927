"""What is found out about a model in use: drift, errors, and which version is better."""
