"""Checks from outside whether a program is ready. A check that fails says why; it never counts as ready."""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from http.client import HTTPException

PROBE_SECONDS_MAX = 3.0
BODY_BYTES_MAX = 65_536


class NotYet(Exception):
    """The program is not ready; the text is its own explanation."""


def answers_ok(url: str) -> Callable[[], str]:
    """Return a probe of `url`: 200 means ready."""
    # No proxy: everything that is probed is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), *_over_tls(url))
    return lambda: _asked(opener, url)


def _asked(opener: urllib.request.OpenerDirector, url: str) -> str:
    """Return what the service says about itself. Raises NotYet."""
    try:
        with opener.open(url, timeout=PROBE_SECONDS_MAX) as answer:
            return _detail(answer.read(BODY_BYTES_MAX))
    except urllib.error.HTTPError as error:
        with error:
            raise NotYet(_detail(error.read(BODY_BYTES_MAX)) or f"answered {error.code}") from error
    except (OSError, HTTPException) as error:  # URLError is an OSError
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise NotYet(f"no answer from {url}: {reason}") from error


def _over_tls(url: str) -> list[urllib.request.HTTPSHandler]:
    if not url.startswith("https://"):
        return []
    from vbatch.chassis.tls import client_context  # containers are asked every few seconds: a probe starts without it

    context = client_context(url)
    return [] if isinstance(context, bool) else [urllib.request.HTTPSHandler(context=context)]


def exits_well(argv: Sequence[str]) -> Callable[[], str]:
    """Return a probe that runs `argv`: exit code 0 means ready."""

    def look() -> str:
        try:
            done = subprocess.run(argv, check=False, capture_output=True, timeout=PROBE_SECONDS_MAX)
        except subprocess.TimeoutExpired as error:
            raise NotYet("does not answer") from error
        if done.returncode != 0:
            raise NotYet("takes no connections yet")
        return "ok"

    return look


def _detail(body: bytes) -> str:
    """Return the failed checks of a `/ready` page, or its status with the detail that NATS adds, in one line."""
    try:
        page = json.loads(body)
        failed = {name: check["detail"] for name, check in page.get("checks", {}).items() if not check["ok"]}
        said = [str(page[key]) for key in ("status", "error") if key in page or key == "status"]
        return "; ".join(f"{name}: {detail}" for name, detail in failed.items()) or ": ".join(said)
    except (ValueError, KeyError, TypeError, AttributeError):
        return body.decode(errors="replace").strip()[:200]
