"""An HTTP/1.1 server for tests and the demo: Slack's and PagerDuty's endpoints, and every way a receiver can misbehave.

A third kind of endpoint takes any JSON.

Written on asyncio's protocols because the bench wants a receiver that is not the bottleneck: a Slack message costs it
85 µs of CPU, the check of its payload included. It knows Content-Length, keep-alive and nothing that clients here don't
use.
"""

import asyncio
import json
import ssl
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self, cast

from pggit_alertd.demo.sinks.validation import EVENT_LIMIT, pagerduty_complaints, slack_complaint

_REASONS = {200: "OK", 202: "Accepted", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One scripted reply.

    `delay` seconds pass before it; `hang` never answers; `cut` breaks the connection before the reply's head or in
    the middle of its body; `drip` sends the body byte by byte with that many seconds between.
    """

    status: int = 200
    body: bytes | str = b"ok"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    hang: bool = False
    cut: Literal["", "head", "body"] = ""
    drip: float | None = None


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request as it came in; `arrived` is time.monotonic() at its last byte, `at` is time.time()."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    arrived: float
    at: float

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


class HttpSink:
    """Receives requests, keeps them, and answers as Slack or PagerDuty would unless scripted otherwise.

    `requests` holds the last `keep` of them. `incidents` is PagerDuty's view: (routing key, dedup key) to the actions
    taken, in order; an incident that was triggered twice in a row was folded, not doubled. `on_request` is called for
    every request, `on_accepted` for those that are going to be answered with success.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, keep: int = 100_000) -> None:
        self.requests: deque[HttpRequest] = deque(maxlen=keep)
        self.received = 0
        self.accepted = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.incidents: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.connections: set[_Connection] = set()
        self.connections_made = 0
        self.on_request: Callable[[HttpRequest], None] | None = None
        self.on_accepted: Callable[[HttpRequest], None] | None = None
        self._tls = tls
        self._scripts: list[tuple[str, deque[Answer]]] = []
        self._always: dict[str, Answer] = {}
        self._server: asyncio.Server | None = None
        self._port = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    async def start(self, port: int = 0) -> Self:
        """Listen on 127.0.0.1; port 0 takes any free one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", port, ssl=self._tls)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Stop listening and break every connection."""
        if self._server is None:
            return
        self._server.close()
        self.drop_connections()
        await self._server.wait_closed()
        self._server = None
        await self.deserted()

    async def __aenter__(self) -> Self:
        return await self.start() if self._server is None else self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def port(self) -> int:
        """The port listened on."""
        return self._port

    @property
    def url(self) -> str:
        """The base URL, which is also what PGGIT_ALERTD_PAGERDUTY_URL takes."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._port}"

    def slack_url(self, name: str = "XXXXXXXXXXXXXXXXXXXXXXXX") -> str:
        """Return a webhook URL; each name is a destination of its own."""
        return f"{self.url}/services/T00000000/B00000000/{name}"

    def hook_url(self, name: str = "hook") -> str:
        """Return a URL that takes any JSON; each name is a destination of its own."""
        return f"{self.url}/hooks/{name}"

    def script(self, *answers: Answer, path: str = "") -> None:
        """Answer the next requests whose path contains `path` with these, in order; then as usual again."""
        self._scripts.append((path, deque(answers)))

    def always(self, answer: Answer | None, path: str = "") -> None:
        """Answer every request whose path contains `path` with this, until told otherwise with None."""
        if answer is None:
            self._always.pop(path, None)
        else:
            self._always[path] = answer

    def drop_connections(self) -> None:
        """Break every open connection at once."""
        for connection in list(self.connections):
            connection.break_off()

    async def deserted(self) -> None:
        """Wait until no connection is open."""
        while self.connections:
            await next(iter(self.connections)).gone

    async def wait_for(self, count: int, within: float = 10.0) -> None:
        """Wait until that many requests have come in since the start. Raises TimeoutError."""
        if self.received >= count:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append((count, waiter))
        async with asyncio.timeout(within):
            await waiter

    def answer(self, request: HttpRequest) -> Answer:
        """Record a request and return what to say to it."""
        self.received += 1
        self.requests.append(request)
        if self._waiters:
            for count, waiter in self._waiters:
                if self.received >= count and not waiter.done():
                    waiter.set_result(None)
            self._waiters = [each for each in self._waiters if not each[1].done()]
        if self.on_request is not None:
            self.on_request(request)
        answer = self._chosen(request)
        if self.on_accepted is not None and 200 <= answer.status < 300 and not answer.hang:  # noqa: PLR2004 - success
            self.on_accepted(request)
        return answer

    def _chosen(self, request: HttpRequest) -> Answer:
        """Return the scripted answer, or the usual one."""
        for path, answers in self._scripts:
            if answers and path in request.path:
                return answers.popleft()
        for path, answer in self._always.items():
            if path in request.path:
                return answer
        return self._usual(request)

    def _usual(self, request: HttpRequest) -> Answer:
        if request.method != "POST":
            return Answer(405, "method_not_allowed")
        if request.path.endswith("/v2/enqueue"):
            return self._pagerduty(request)
        if request.path.startswith("/services/"):
            complaint = slack_complaint(request.body)
            if complaint is None:
                self.accepted += 1
                return _OK
            return Answer(*complaint)
        if request.path.startswith("/hooks/"):
            return self._hook(request)
        return Answer(404, "no_service")

    def _hook(self, request: HttpRequest) -> Answer:
        try:
            request.json()
        except ValueError:
            return Answer(400, "not JSON")
        self.accepted += 1
        return Answer(200, "taken")

    def _pagerduty(self, request: HttpRequest) -> Answer:
        if len(request.body) > EVENT_LIMIT:
            return Answer(413, "Request Entity Too Large")
        event, errors = pagerduty_complaints(request.body)
        if errors:
            said = {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
            return Answer(400, json.dumps(said))
        self.accepted += 1
        key = event.get("dedup_key") or f"generated-{self.accepted}"
        self.incidents[event["routing_key"], key].append(event["event_action"])
        return Answer(202, json.dumps({"status": "success", "message": "Event processed", "dedup_key": key}))


_OK = Answer()


class _Connection(asyncio.Protocol):
    """One client connection: requests are answered in order, the next one is looked at when the last is answered."""

    def __init__(self, sink: HttpSink) -> None:
        self._sink = sink
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes, though they do the same.
        self._transport = cast("asyncio.Transport", transport)
        self._sink.connections.add(self)
        self._sink.connections_made += 1

    def connection_lost(self, _exc: Exception | None) -> None:
        self._sink.connections.discard(self)
        if not self.gone.done():
            self.gone.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
        if self._busy:
            self._sink.in_flight -= 1
        self._transport = None

    def break_off(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._next()

    def _next(self) -> None:
        while not self._busy and self._transport is not None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            size = int(headers.get("content-length", "0"))
            if len(self._buffer) < end + 4 + size:
                return
            body = bytes(self._buffer[end + 4 : end + 4 + size])
            del self._buffer[: end + 4 + size]
            method, path, _ = first.split(" ", 2)
            self._busy = True
            sink = self._sink
            sink.in_flight += 1
            sink.most_in_flight = max(sink.most_in_flight, sink.in_flight)
            self._play(sink.answer(HttpRequest(method, path, headers, body, time.monotonic(), time.time())))

    def _play(self, answer: Answer) -> None:
        if answer.hang:
            return
        if answer.delay:
            self._timer = asyncio.get_running_loop().call_later(answer.delay, self._write, answer)
        else:
            self._write(answer)

    def _write(self, answer: Answer) -> None:
        transport = self._transport
        if transport is None:
            return
        if answer.cut == "head":
            transport.abort()
            return
        body = answer.body.encode() if isinstance(answer.body, str) else answer.body
        extra = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
        size = len(body) + (100 if answer.cut == "body" else 0)
        reason = _REASONS.get(answer.status, "Unknown")
        head = f"HTTP/1.1 {answer.status} {reason}\r\nContent-Length: {size}\r\n{extra}\r\n"
        if answer.drip is not None:
            transport.write(head.encode("latin-1"))
            self._drip(body, answer.drip)
            return
        transport.write(head.encode("latin-1") + body)
        if answer.cut == "body":
            transport.close()
            return
        self._done()

    def _drip(self, rest: bytes, pause: float) -> None:
        if self._transport is None:
            return
        self._transport.write(rest[:1])
        if len(rest) > 1:
            self._timer = asyncio.get_running_loop().call_later(pause, self._drip, rest[1:], pause)
        else:
            self._done()

    def _done(self) -> None:
        if self._busy:
            self._busy = False
            self._sink.in_flight -= 1
        if self._buffer:
            self._next()
