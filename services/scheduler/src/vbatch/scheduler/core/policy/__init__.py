"""Which batch a runner serves next, as pure functions of one view of the queue."""
