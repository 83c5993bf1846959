"""A browser's end of a websocket, for the ASGI application in this process."""

import json
from typing import Any

from asgiref.testing import ApplicationCommunicator

from arun_saas.asgi import application


class Socket(ApplicationCommunicator):  # type: ignore[misc]
    """Opens, says, hears and closes."""

    def __init__(
        self, *, cookie: str = "", path: str = "/live/", origin: str = "http://testserver", app: Any = None
    ) -> None:
        headers = [(b"host", b"testserver"), (b"origin", origin.encode()), (b"cookie", cookie.encode())]
        path, _, query = path.partition("?")
        scope = {
            "type": "websocket",
            "path": path,
            "query_string": query.encode(),
            "headers": headers,
            "subprotocols": [],
        }
        super().__init__(app or application, scope)

    async def open(self) -> dict[str, Any]:
        """Shake hands and return the server's answer."""
        await self.send_input({"type": "websocket.connect"})
        answer: dict[str, Any] = await self.receive_output(timeout=5)
        return answer

    async def say(self, text: str) -> None:
        await self.send_input({"type": "websocket.receive", "text": text})

    async def hear(self) -> Any:
        message = await self.receive_output(timeout=5)
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"])

    async def close_code(self) -> int:
        message = await self.receive_output(timeout=5)
        assert message["type"] == "websocket.close", message
        code: int = message["code"]
        return code

    async def close(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait()
