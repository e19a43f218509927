"""From a command to its events: validate, load, decide, append. Every edge ends in `CommandHandler`."""
