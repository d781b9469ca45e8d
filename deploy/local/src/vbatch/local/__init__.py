"""The local stack: NATS, PostgreSQL and the four services under one supervisor."""
