"""`python -m vbatch.local.supervisord` is supervisord, but it checks its programs ten times a second instead of once.

Its own interval of a second, often two, would be most of the time that a killed service is unavailable.
"""

from supervisor import poller, supervisord

from vbatch.chassis.files import keep_private

LOOK_SECONDS = 0.1


class AttentivePoller(poller.Poller):  # type: ignore[misc]  # supervisor has no types
    """Waits for output of programs and for requests, but only for a short time."""

    def poll(self, timeout: float) -> tuple[list[int], list[int]]:
        ready: tuple[list[int], list[int]] = super().poll(min(timeout, LOOK_SECONDS))
        return ready


if __name__ == "__main__":
    keep_private()  # its own umask setting comes after its first log line
    poller.Poller = AttentivePoller
    supervisord.main()
