"""How a server of the tests serves: prints its port when it listens, and ends when its standard input does, so that a test process that is
killed leaves none behind.
"""

import os
import socket
import sys
import threading

import uvicorn


def end_with_stdin():
    sys.stdin.buffer.read()
    os._exit(0)


class Announcing(uvicorn.Server):
    """Says its port when it is ready, not before."""

    async def startup(self, sockets=None):
        await super().startup(sockets=sockets)
        print(sockets[0].getsockname()[1], flush=True)


def serve(application, port):
    threading.Thread(target=end_with_stdin, daemon=True).start()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    config = uvicorn.Config(
        application,
        log_level="warning",
        timeout_graceful_shutdown=1,
        # A connection that rests is not closed while a test on a slow machine reaches for it.
        timeout_keep_alive=600,
    )
    Announcing(config).run(sockets=[listener])
