"""An event log behind TLS: a service that knows who signed its certificate comes in, another does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from tests.support.nats import nats_server, small_journal
from vbatch.journal.jetstream import connect
from vbatch.journal.port import Unavailable

pytestmark = [pytest.mark.integration]


async def test_the_log_is_reached_over_tls_by_those_who_know_its_authority(tmp_path: Path):
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    extra = f'tls {{ cert_file: "{tmp_path / "server.pem"}", key_file: "{tmp_path / "server.pem"}" }}'

    async with nats_server(extra=extra) as server:
        url = server.url.replace("nats://", "tls://")
        async with connect(small_journal(url, ca_file=tmp_path / "ca.pem")) as journal:
            await journal.topology()
            assert await journal.log.last_sequence() == 0
        with pytest.raises(Unavailable):
            async with connect(small_journal(url, connect_seconds=2.0)):
                pass
