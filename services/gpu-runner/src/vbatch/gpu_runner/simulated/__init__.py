"""A simulated engine: the same HTTP interface, generated answers that say so, and faults on demand."""
