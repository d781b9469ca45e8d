"""The pages of nats-server as Prometheus gets them."""

import msgspec
import pytest

from vbatch.results.adapters.nats_metrics import JetStreamPage, ServerPage, nats_metrics, reader_of

JSZ = b"""{"memory": 0, "account_details": [{"name": "$G", "stream_detail": [
  {"name": "EVT", "config": {"max_bytes": 1000}, "state": {"messages": 12, "bytes": 345, "last_seq": 12},
   "consumer_detail": [{"name": "results_5f", "num_pending": 4}, {"name": "results_77", "num_pending": 9}]},
  {"name": "WORK", "config": {"max_bytes": -1}, "state": {"messages": 0, "bytes": 0},
   "consumer_detail": [{"name": "gpu0-1234", "num_pending": 0, "num_ack_pending": 2}]}]}]}"""


def samples() -> dict[tuple[str, ...], float]:
    metrics = nats_metrics(ServerPage(mem=99), msgspec.json.decode(JSZ, type=JetStreamPage))
    return {(each.name, *each.labels.values()): each.value for metric in metrics for each in metric.samples}


def test_a_stream_is_told_with_its_limit_and_one_without_limit_without():
    assert samples()["vbatch_nats_stream_bytes", "EVT"] == 345
    assert samples()["vbatch_nats_stream_limit_bytes", "EVT"] == 1000
    assert ("vbatch_nats_stream_limit_bytes", "WORK") not in samples()


def test_a_reader_is_as_far_behind_as_its_slowest_consumer():
    assert samples()["vbatch_nats_reader_pending_messages", "EVT", "results"] == 9
    assert samples()["vbatch_nats_reader_pending_messages", "WORK", "gpu0"] == 0


@pytest.mark.parametrize(("consumer", "reader"), [("gateway_5f2c", "gateway"), ("gpu-0-12", "gpu-0"), ("odd", "odd")])
def test_a_consumer_belongs_to_a_reader(consumer: str, reader: str):
    assert reader_of(consumer) == reader
