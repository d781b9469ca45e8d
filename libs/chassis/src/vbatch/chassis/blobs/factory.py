"""Chooses the store that a URL names."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from vbatch.chassis.blobs.port import Blobs


def open_blobs(url: str) -> Blobs:
    """Return the store at `url`: file:// for a local folder, or a scheme that obstore knows (s3://, gs://…).

    Raises BlobTrouble for a URL that names no store. Each store is imported only where it is used, because obstore is a
    large native library.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        from vbatch.chassis.blobs.local import LocalBlobs

        return LocalBlobs(Path(unquote(parts.path)))
    from vbatch.chassis.blobs.remote import RemoteBlobs

    return RemoteBlobs.from_url(url)
