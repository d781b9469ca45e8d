"""The vocabulary of the services: events, ids, subjects, orders, OpenAI line formats. Pure: no I/O, no clock."""
