"""Where the rules of delivery meet the log and the network."""
