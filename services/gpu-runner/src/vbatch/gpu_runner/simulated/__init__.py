"""A stand-in for an engine: the same HTTP interface, made-up answers that say so, faults on demand."""
