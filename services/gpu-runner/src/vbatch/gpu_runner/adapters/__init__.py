"""The parts of the runner that touch the world."""
