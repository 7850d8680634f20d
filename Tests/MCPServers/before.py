"""A server of the official SDK as it was in earlier years: `before.py MODE [PORT]`, where MODE is http, json or sse.

Runs under the releases whose newest version of the protocol was 2024-11-05, 2025-03-26 and 2025-06-18 (requirements-1.6.txt, -1.9.txt,
-1.12.txt).
"""

import sys

from mcp.server.fastmcp import FastMCP
from mcp.types import LATEST_PROTOCOL_VERSION

from serving import serve

SPOKEN = {"header": None}


def build(mode):
    settings = {"json_response": True} if mode == "json" else {}
    server = FastMCP("before", log_level="WARNING", **settings)

    @server.tool()
    def echo(text: str) -> str:
        """Says it again."""
        return text

    @server.tool()
    def fail(reason: str) -> str:
        raise ValueError(reason)

    @server.tool()
    def newest() -> str:
        """The newest version of the protocol that this release speaks: its answer to a client that asks for a later one."""
        return LATEST_PROTOCOL_VERSION

    @server.tool()
    def spoken() -> str:
        """What the client says that was agreed on."""
        return SPOKEN["header"] or "nothing"

    return server


def heard(application):
    async def hear(scope, receive, send):
        if scope["type"] == "http" and scope["method"] == "POST":
            SPOKEN["header"] = dict(scope["headers"]).get(b"mcp-protocol-version", b"").decode()
        await application(scope, receive, send)

    return hear


mode = sys.argv[1]
server = build(mode)
serve(
    heard(server.sse_app() if mode == "sse" else server.streamable_http_app()),
    int(sys.argv[2]) if len(sys.argv) > 2 else 0,
)
