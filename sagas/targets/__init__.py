"""Where releases run: the port (`sagas.targets.port`) and its implementations."""
