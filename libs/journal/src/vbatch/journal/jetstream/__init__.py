"""The journal on a real NATS server, over nats-py's connection, publish and subscribe only.

Its higher layers lose or stall (publish_async, fetch, ordered consumers), so requests, pulls and publishing are ours.
"""

from vbatch.journal.jetstream.journal import JetStreamJournal, connect

__all__ = ["JetStreamJournal", "connect"]
