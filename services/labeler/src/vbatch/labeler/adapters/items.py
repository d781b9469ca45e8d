"""The items of labelings, which the gateway has put into the blob store."""

from __future__ import annotations

import msgspec

from vbatch.chassis.blobs import Blobs, BlobTrouble
from vbatch.contracts.labeling import LabelingItem
from vbatch.labeler.ports import Away

_DECODER = msgspec.json.Decoder(LabelingItem)


class BlobItems:
    """Implements ports.Items."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def read(self, blob: str) -> list[LabelingItem]:
        try:
            content = b"".join([block async for block in self._blobs.read_stream(blob)])
        except BlobTrouble as error:
            raise Away(f"the items cannot be read: {error}") from error
        return [_DECODER.decode(line) for line in content.splitlines()]
