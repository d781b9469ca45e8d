"""Which requests of a browser are accepted: the rules against other sites, pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

SAFE_METHODS = frozenset({"GET", "HEAD"})
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = (
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    # Not `no-referrer`: with it a browser sends `Origin: null` from our own forms.
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), microphone=(), geolocation=()"),
)


def is_known_host(host: str, allowed: Collection[str]) -> bool:
    """Whether `host`, the header, is a name of this machine or an allowed one; this guards against names of other sites
    that are made to point here (DNS rebinding)."""
    name = _name(host)
    if name == "localhost" or name in allowed:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_own_origin(host: str, origin: str | None, fetch_site: str | None) -> bool:
    """Whether a changing request comes from a page of ours. Another port of the same host is another origin, which a
    cookie would not show. A client that is not a browser sends neither header and has no cookie of a visitor."""
    if origin is not None:
        return urlsplit(origin).netloc.lower() == host.lower() and origin != "null"
    return fetch_site in (None, "same-origin")


def is_local_path(path: str) -> bool:
    """Whether a redirect target is one of our pages."""
    return path.startswith("/") and not path.startswith(("//", "/\\")) and "\n" not in path and "\r" not in path


def _name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()
