"""The blob store: whole files by name, in a local folder or in an object store."""

from vbatch.chassis.blobs.factory import open_blobs
from vbatch.chassis.blobs.port import (
    BadBlobName,
    BlobMissing,
    Blobs,
    BlobStoreFull,
    BlobTrouble,
    BlobWriter,
    Range,
)

__all__ = ["BadBlobName", "BlobMissing", "BlobStoreFull", "BlobTrouble", "BlobWriter", "Blobs", "Range", "open_blobs"]
