"""The engine: works on the runs of workflows, on top of the log, its timers and the queues of the skills."""
