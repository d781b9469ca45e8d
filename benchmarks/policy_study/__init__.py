"""The scheduler's policy against simpler rules, bounds and exact optima, simulated on the service's own code."""
