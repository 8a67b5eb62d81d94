"""The one HTTP client: httpx's transport interface, aiohttp's connections underneath, one pool for the whole process.

httpx's own pool costs 1.9 ms of CPU a request at 50 in flight because it scans all connections each time; over
aiohttp's connector the same call costs a tenth. The transport is called without httpx.AsyncClient around it: cookies,
redirects, proxies and auth are what must not happen here, they took 40 % of the CPU, and the client logs every URL at
INFO, which for a webhook is the secret. Redirects are never followed: a destination that moved is to be mended by its
owner, and a redirect could lead inside the network. Proxy variables of the environment are ignored for the same reason.

The question that matters after a failure is whether the request had left: before it did, trying again is free; after it
did, the message may have arrived and a retry may double it (`ambiguous`).
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from pggit_alertd.channels.endpoints import Endpoint, is_public
from pggit_alertd.channels.masking import scrub
from pggit_alertd.lean import hidden
from pggit_alertd.model import Delivered, Permanent, Reason, Receipt, Scope, Transient

with hidden("rich", "pygments"):
    import httpx
    from httpx_aiohttp import AiohttpTransport

CONNECT_TIMEOUT = 5.0
KEEPALIVE = 15.0
DNS_CACHE = 30
BODY_LIMIT = 64 * 1024
# Nobody asks for more than an hour; a mistaken year must not silence a destination.
RETRY_AFTER_LIMIT = 3600.0
SOCKET_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP reply that was read to its end, or to BODY_LIMIT."""

    status: int
    body: bytes
    retry_after: float | None


class AddressRefusedError(OSError):
    """The name resolves to nothing but addresses we don't connect to."""


class GuardedResolver(AbstractResolver):
    """Resolves names and lets only public addresses through; the connection is made to exactly what was judged."""

    def __init__(self, *, allow_insecure: bool) -> None:
        self._inner = aiohttp.ThreadedResolver()
        self._allow_insecure = allow_insecure

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name. Raises AddressRefusedError when none of them may be used."""
        found = await self._inner.resolve(host, port, family)
        if self._allow_insecure:
            return found
        public = [each for each in found if is_public(ipaddress.ip_address(each["host"].partition("%")[0]))]
        if found and not public:
            raise AddressRefusedError(f"{host} resolves to a private or local address")
        return public

    async def close(self) -> None:
        """Nothing is held."""


class HttpClient:
    """Posts bytes and says what became of them. Connections are kept; `aclose` ends them all."""

    def __init__(
        self,
        *,
        deadline: float,
        user_agent: str,
        allow_insecure: bool = False,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        # A little less than the dispatcher allows, so that this side, which knows whether the request had left, is the
        # one to end it. Connecting is bounded well before that: whoever runs out of the whole had a connection.
        self._budget = max(deadline - 1.0, deadline * 0.9)
        connect = min(CONNECT_TIMEOUT, self._budget / 4)
        self._timeout = {"connect": connect, "pool": self._budget / 2, "read": self._budget, "write": self._budget}
        self._connect_timeout = connect
        self._allow_insecure = allow_insecure
        self._tls = tls_context or tls_defaults()
        self._headers = {"User-Agent": user_agent, "Accept-Encoding": "identity", "Content-Type": "application/json"}
        self._transport = AiohttpTransport(verify=self._tls, trust_env=False, client=self._session)
        self._closed = False

    def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=SOCKET_LIMIT,
            limit_per_host=0,
            ttl_dns_cache=DNS_CACHE,
            keepalive_timeout=KEEPALIVE,
            ssl=self._tls,
            resolver=GuardedResolver(allow_insecure=self._allow_insecure),
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
        )

    async def post(
        self, endpoint: Endpoint, body: bytes, headers: Mapping[str, str] | None = None
    ) -> Reply | Transient | Permanent:
        """Post JSON once, with `headers` beside our own, and return the reply or the receipt of why there is none."""
        if self._closed:
            return Transient(Reason.SHUTDOWN, "the program is shutting down")
        request = httpx.Request(
            "POST",
            endpoint.url,
            headers={**(headers or {}), **self._headers},
            content=body,
            extensions={"timeout": self._timeout},
        )
        try:
            async with asyncio.timeout(self._budget):
                response = await self._transport.handle_async_request(request)
                try:
                    content = await _read(response)
                finally:
                    await response.aclose()
        except TimeoutError:
            return Transient(
                Reason.TIMEOUT, f"{endpoint.host} did not answer within {self._budget:.0f} s", ambiguous=True
            )
        except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, ValueError) as error:
            return failure(error, endpoint)
        return Reply(response.status_code, content, parse_retry_after(response.headers.get("retry-after")))

    async def probe(self, endpoint: Endpoint) -> Receipt:
        """Resolve, connect and shake hands, and send no request at all."""
        resolver = GuardedResolver(allow_insecure=self._allow_insecure)
        try:
            async with asyncio.timeout(2 * self._connect_timeout):
                addresses = await resolver.resolve(endpoint.host, endpoint.port, socket.AF_UNSPEC)
                if not addresses:
                    return Transient(Reason.CONNECTION, f"{endpoint.host} has no address")
                _, writer = await asyncio.open_connection(
                    addresses[0]["host"],
                    endpoint.port,
                    ssl=self._tls if endpoint.tls else None,
                    server_hostname=endpoint.host if endpoint.tls else None,
                )
                writer.close()
                await writer.wait_closed()
        except TimeoutError:
            return Transient(Reason.TIMEOUT, f"{endpoint.host} took too long to accept a connection")
        except OSError as error:
            return failure(error, endpoint)
        return Delivered(detail=f"{endpoint.host}:{endpoint.port} is reachable{' over TLS' if endpoint.tls else ''}")

    async def aclose(self) -> None:
        """Close all connections; requests that come later are refused."""
        self._closed = True
        await self._transport.aclose()


def tls_defaults() -> ssl.SSLContext:
    """Return the system's trust store (SSL_CERT_FILE changes it), or certifi's where the system has none."""
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"] and not ssl.get_default_verify_paths().capath:
        context = httpx.create_ssl_context(trust_env=False)
    return context


async def _read(response: httpx.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - what an asynchronous transport returns
    async for part in response.stream:
        parts.append(part)
        size += len(part)
        if size >= BODY_LIMIT:
            break
    return b"".join(parts)[:BODY_LIMIT]


def failure(error: BaseException, endpoint: Endpoint) -> Transient | Permanent:
    """Class an exception by what lies under it: httpx-aiohttp calls a cut connection a ConnectTimeout."""
    chain = list(_chain(error))
    where = f"{endpoint.host}:{endpoint.port}"
    refused = next((each for each in chain if isinstance(each, AddressRefusedError)), None)
    if refused is not None:
        return Permanent(
            Reason.INVALID_SETTING, f"{endpoint.host} resolves to a private or local address", Scope.DESTINATION
        )
    # The last one is OpenSSL's own; aiohttp's wrappers are SSLErrors too, but lack the attributes of one.
    tls = next((each for each in reversed(chain) if isinstance(each, ssl.SSLError)), None)
    before = any(isinstance(each, _BEFORE_THE_REQUEST) for each in chain) or not any(
        isinstance(each, (httpx.HTTPError, aiohttp.ClientError)) for each in chain
    )
    if tls is not None:
        why = scrub(
            getattr(tls, "verify_message", "") or getattr(tls, "reason", "") or "handshake failed", endpoint.secrets
        )
        return Transient(Reason.TLS, f"no TLS with {where}: {why}", ambiguous=not before)
    if any(isinstance(each, (aiohttp.ServerTimeoutError, TimeoutError)) for each in chain):
        detail = f"{where} took too long to {'accept a connection' if before else 'answer'}"
        return Transient(Reason.TIMEOUT, detail, ambiguous=not before)
    if before:
        return Transient(Reason.CONNECTION, f"can't connect to {where}: {_reason(chain, endpoint)}")
    return Transient(Reason.CONNECTION, f"{where} broke the connection before its answer was complete", ambiguous=True)


_BEFORE_THE_REQUEST = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    socket.gaierror,
)


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        inner = getattr(error, "os_error", None)
        error = inner if isinstance(inner, BaseException) else error.__cause__
    return found


def _reason(chain: list[BaseException], endpoint: Endpoint) -> str:
    for each in reversed(chain):
        if isinstance(each, OSError) and each.strerror:
            return scrub(each.strerror, endpoint.secrets)
    return type(chain[-1]).__name__


def parse_retry_after(value: object, now: datetime | None = None) -> float | None:
    """Return seconds from a Retry-After header (seconds or a date) or a body's number, within RETRY_AFTER_LIMIT."""
    if value is None or isinstance(value, bool):
        return None
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        try:
            moment = parsedate_to_datetime(str(value))
        except (TypeError, ValueError, IndexError, OverflowError):
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    if seconds != seconds:  # noqa: PLR0124 - NaN
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_LIMIT)
