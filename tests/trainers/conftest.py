"""The data set that trainers read: judged on a real gateway, exported by the command line."""

from tests.integration.conftest import journal as journal, nats as nats, place as place
from tests.integration.gateway.conftest import stage as stage
