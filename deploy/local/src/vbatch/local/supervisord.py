"""`python -m vbatch.local.supervisord`: supervisord that looks after its programs ten times a second, not once.

Its own second, and often a second one, would be most of the time in which a killed service is away.
"""

from supervisor import poller, supervisord

from vbatch.chassis.files import keep_private

LOOK_SECONDS = 0.1


class AttentivePoller(poller.Poller):  # type: ignore[misc]  # supervisor has no types
    """Waits for output of programs and for questions, but never long."""

    def poll(self, timeout: float) -> tuple[list[int], list[int]]:
        ready: tuple[list[int], list[int]] = super().poll(min(timeout, LOOK_SECONDS))
        return ready


if __name__ == "__main__":
    keep_private()  # its own umask setting comes behind its first log line
    poller.Poller = AttentivePoller
    supervisord.main()
