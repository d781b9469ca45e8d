"""How the gateway is put together, from the outside inwards.

`service` runs it: it opens the `connections`, builds the `app_state` on them, keeps the `duties` running, and serves
the `application` with the `http_server`. `app_state` lists every capability once: a new one needs a line there, a
function in `capabilities` and a router in `application`.
"""

from vbatch.gateway.wiring.application import create_app
from vbatch.gateway.wiring.connections import SERVICE
from vbatch.gateway.wiring.http_server import connection_limits, listening_socket, serving
from vbatch.gateway.wiring.service import open_parts, run

__all__ = ["SERVICE", "connection_limits", "create_app", "listening_socket", "open_parts", "run", "serving"]
