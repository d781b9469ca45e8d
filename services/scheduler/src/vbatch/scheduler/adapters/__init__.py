"""Where the scheduler touches the world: the worker process that reads files, metrics."""
