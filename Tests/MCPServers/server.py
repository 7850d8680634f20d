"""A server of the official SDK for the tests: `server.py MODE [PORT]`, where MODE is http, json, stateless, resumable, sse, paged or gate.

Runs under both lines of the SDK (requirements-1.txt, requirements-2.txt). Prints its port when it listens, and ends when its standard input
does, so that a test process that is killed leaves none behind.
"""

import asyncio
import sys
from typing import TypedDict

import mcp.types as types
from pydantic import BaseModel, Field

IS_MODERN = False
try:
    from mcp.server.mcpserver import Context, MCPServer
    IS_MODERN = True
except ImportError:
    from mcp.server.fastmcp import Context
    from mcp.server.fastmcp import FastMCP as MCPServer

from mcp.server.streamable_http import EventMessage, EventStore

from serving import serve

STATE = {"cancelled": 0, "calls": 0, "slow": 0}


class MemoryEvents(EventStore):
    """Every event of every stream, in order."""

    def __init__(self):
        self.events = []

    async def store_event(self, stream_id, message):
        self.events.append((stream_id, message))
        return str(len(self.events))

    async def replay_events_after(self, last_event_id, send_callback):
        position = int(last_event_id)
        stream = self.events[position - 1][0]
        for number, (stream_id, message) in enumerate(self.events[position:], position + 1):
            if stream_id == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


class Forecast(TypedDict):
    city: str
    celsius: float


class Answer(BaseModel):
    name: str


def image():
    if IS_MODERN:
        return types.ImageContent(type="image", data="aGVsbG8h", mime_type="image/png")
    return types.ImageContent(type="image", data="aGVsbG8h", mimeType="image/png")


def build(mode):
    settings = {}
    if not IS_MODERN:
        settings["json_response"] = mode == "json"
        settings["stateless_http"] = mode == "stateless"
        if mode == "resumable":
            settings["event_store"] = MemoryEvents()
            settings["retry_interval"] = 50
    server = MCPServer("test", log_level="WARNING", **settings)

    if mode == "gate":

        def done(path: str = "", n: int = 0) -> str:
            return "done"

        for name in ("ok", "denied", "unknown", "args", "many", "minute", "ask", "late", "changed", "outrun"):
            server.add_tool(done, name=name)
        return server

    @server.tool(structured_output=False)
    def echo(text: str) -> str:
        """Says it again."""
        STATE["calls"] += 1
        return text

    @server.tool()
    def add(a: int, b: int) -> int:
        return a + b

    @server.tool()
    def forecast(city: str) -> Forecast:
        return {"city": city, "celsius": 21.5}

    @server.tool()
    def fail(reason: str) -> str:
        raise ValueError(reason)

    @server.tool(structured_output=False)
    def parts() -> list:
        return [
            types.TextContent(type="text", text="one"),
            image(),
            types.ResourceLink(type="resource_link", uri="file:///notes.txt", name="notes"),
        ]

    @server.tool(structured_output=False)
    def long(length: int, letter: str = "é") -> str:
        return letter * length

    @server.tool(structured_output=False)
    async def slow() -> str:
        STATE["slow"] += 1
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            STATE["cancelled"] += 1
            raise
        return "late"

    @server.tool()
    def state() -> dict[str, int]:
        return STATE

    @server.tool(structured_output=False)
    async def whoami(ctx: Context) -> str:
        return ctx.request_context.request.headers.get("x-tenant", "nobody")

    @server.tool(structured_output=False)
    async def noisy(ctx: Context) -> str:
        for step in range(20):
            await ctx.report_progress(step, 20, "working")
            await ctx.info(f"step {step}")
        return "done"

    @server.tool(structured_output=False)
    async def ask(ctx: Context) -> str:
        answer = await ctx.elicit("Who are you?", Answer)
        return f"asked: {answer.action}"

    @server.tool(structured_output=False)
    async def ping_client(ctx: Context) -> str:
        await ctx.session.send_ping()
        return "pong"

    @server.tool(structured_output=False)
    async def grow(ctx: Context) -> str:
        def grown() -> str:
            return "new"

        server.add_tool(grown, name="grown")
        await ctx.session.send_tool_list_changed()
        return "grown"

    @server.tool(structured_output=False)
    async def poll(ctx: Context) -> str:
        """Lets its stream go in the middle, and expects its caller back."""
        await ctx.close_sse_stream()
        await asyncio.sleep(0.05)
        return "polled"

    @server.tool(structured_output=False)
    def place(region: str = Field(json_schema_extra={"x-mcp-header": "Region"}), count: int = 1) -> str:
        return f"{region} {count}"

    return server


def paged():
    tools = [
        {"name": f"tool_{number}", "description": f"Number {number}", "inputSchema": {"type": "object"}} for number in range(45)
    ]

    def page(cursor):
        start = int(cursor) if cursor is not None else 0
        following = str(start + 10) if start + 10 < len(tools) else None
        return types.ListToolsResult.model_validate({"tools": tools[start : start + 10], "nextCursor": following})

    from mcp.server.lowlevel import Server

    if IS_MODERN:

        async def list_tools(ctx, params):
            return page(params.cursor if params is not None else None)

        return Server("paged", on_list_tools=list_tools).streamable_http_app(), None

    from contextlib import asynccontextmanager

    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from starlette.applications import Starlette
    from starlette.routing import Route

    server = Server("paged")

    @server.list_tools()
    async def list_tools(request: types.ListToolsRequest) -> types.ListToolsResult:
        return page(request.params.cursor if request.params is not None else None)

    manager = StreamableHTTPSessionManager(app=server)

    class Endpoint:
        async def __call__(self, scope, receive, send):
            await manager.handle_request(scope, receive, send)

    @asynccontextmanager
    async def lifespan(app):
        async with manager.run():
            yield

    return Starlette(routes=[Route("/mcp", endpoint=Endpoint())], lifespan=lifespan), None


def application(mode):
    if mode == "paged":
        return paged()[0]
    server = build(mode)
    if mode == "sse":
        return server.sse_app()
    if not IS_MODERN:
        return server.streamable_http_app()
    options = {"json_response": mode == "json", "stateless_http": mode == "stateless"}
    if mode == "resumable":
        options |= {"event_store": MemoryEvents(), "retry_interval": 50}
    return server.streamable_http_app(**options)


serve(application(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
