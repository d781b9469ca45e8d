"""What the services say to each other: events, subjects, ids, wire formats. Pure."""
