"""The journal on a real NATS server. It uses only connection, publish and subscribe of nats-py.

nats-py's higher layers lose messages or stall (publish_async, fetch, ordered consumers), so requests, pulls and
publishing are our own.
"""

from vbatch.journal.jetstream.journal import JetStreamJournal, connect

__all__ = ["JetStreamJournal", "connect"]
