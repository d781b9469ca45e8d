"""From the bytes of an input file to its plan: its requests and the order in which they run."""
