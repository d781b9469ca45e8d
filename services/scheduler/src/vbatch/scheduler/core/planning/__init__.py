"""From the bytes of an input file to its plan: the requests it holds and the order in which they run."""
