"""What is in a message and its attachments: text, tables, language, entities. With no network."""
