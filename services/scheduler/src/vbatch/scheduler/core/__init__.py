"""The rules of the scheduler: is a file fit to run, which requests next, when does a batch end. Pure."""
