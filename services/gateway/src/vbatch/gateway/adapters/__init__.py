"""The gateway's adapters to PostgreSQL, to multipart forms and to HTTP."""
