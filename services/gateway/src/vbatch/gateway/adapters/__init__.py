"""The gateway's sides to PostgreSQL, to multipart forms and to HTTP."""
