"""One engine, the same machine, files and arguments: this server compared with its alternatives."""
