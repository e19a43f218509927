"""A server of the Model Context Protocol: skills and workflows as tools, read models and audit trail as resources."""
