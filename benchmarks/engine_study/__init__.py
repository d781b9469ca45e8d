"""One engine, the same machine, files and arguments: this server beside what one would do without it."""
