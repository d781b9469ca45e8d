"""What the services say to each other: events, ids, subjects, orders, OpenAI line formats. Pure: no I/O, no clock."""
