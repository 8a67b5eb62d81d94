"""Apprise: a hundred services that have no channel of their own here, through the library of that name.

It is an extra, imported on the first delivery and not before: nobody who doesn't use it pays its 50 MB. Its plugins
block and answer yes or no, without a reason. So each URL is called by itself in a thread, "no" is a failure that may
pass, and the URLs that took the message are remembered in the receipt's `settled` as mail's recipients are: who has it
doesn't get it again because of somebody else.
"""

import asyncio
import importlib.util
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pggit_alertd.channels import configs
from pggit_alertd.channels.masking import scrub, variants
from pggit_alertd.channels.recipients import recipient_digest
from pggit_alertd.errors import ChannelNotReady, DestinationError
from pggit_alertd.model import Delivered, Notification, Permanent, Reason, Receipt, Scope, Transient
from pggit_alertd.rendering import apprise as rendering

EXAMPLE = '{"url": "tgram://<bot token>/<chat id>"}'
INSTALL = "Apprise is not installed where the daemon runs; run: pip install 'pggit-alertd[apprise]' and restart"
URLS_LIMIT = 20
URL_LIMIT = 2048
SWITCH = "PGGIT_ALERTD_ALLOW_INSECURE_DESTINATIONS"

GENERIC = frozenset({"apprise", "apprises", "form", "forms", "json", "jsons", "xml", "xmls"})
"""Schemes that post to any URL, which the webhook channel does with a check of the address."""

LOCAL = frozenset(
    {
        "blink1",
        "dbus",
        "file",
        "gio",
        "glib",
        "gnome",
        "kde",
        "macosx",
        "qt",
        "syslog",
        "windows",
    }
)
"""Schemes that mean this machine's own desktop or log."""

_URL = re.compile(r"([a-z0-9][a-z0-9+.-]{0,40})://\S*", re.IGNORECASE)
_SECRET_PART = 6
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class AppriseDestination:
    """Apprise URLs, which hold every secret there is. `schemes` are what may be said of them."""

    urls: tuple[str, ...] = field(repr=False)
    schemes: tuple[str, ...]
    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class AppriseMessage:
    """What is said, and which URLs need it no more: names as in the queue's `settled`."""

    text: rendering.Text
    settled: frozenset[str]

    @property
    def payload(self) -> bytes:
        """The text as bytes."""
        return f"{self.text.kind}\n{self.text.title}\n{self.text.body}".encode()


class AppriseChannel:
    """Calls Apprise in threads of its own, `threads` of them at most.

    A thread can't be stopped. When a delivery ends by its deadline or is cancelled, its thread goes on until the
    plugin's own time-out, which is no longer than the deadline, and keeps its place meanwhile. The threads are daemons:
    they never hold up the end of the process.
    """

    name = "apprise"
    keys = ("url", "urls")

    def __init__(self, *, deadline: float, threads: int = 40, allow_insecure: bool = False) -> None:
        self.deadline = deadline
        self._budget = max(deadline - 1.0, deadline * 0.9)
        self._places = asyncio.Semaphore(threads)
        self._allow_insecure = allow_insecure
        self._closed = False

    def parse(self, config: Mapping[str, Any]) -> AppriseDestination:
        """Return the destination; what a plugin thinks of its URL shows when it is used.

        Raises DestinationError naming `url` or `urls`, ChannelNotReady saying how to install the library.
        """
        config = configs.mapping(config, EXAMPLE)
        key, value = configs.first_of(config, ("url", "urls"), EXAMPLE)
        entries = [value] if isinstance(value, str) else value
        if not isinstance(entries, list) or not 0 < len(entries) <= URLS_LIMIT:
            raise DestinationError(f'"{key}" must be an Apprise URL or a list of one to {URLS_LIMIT}: {EXAMPLE}.')
        urls = tuple(dict.fromkeys(self._url(key, entry) for entry in entries))
        if importlib.util.find_spec("apprise") is None:
            raise ChannelNotReady(f"{INSTALL}.")
        schemes = tuple(dict.fromkeys(url.partition("://")[0] for url in urls))
        return AppriseDestination(urls, schemes, variants([*urls, *(part for url in urls for part in _parts(url))]))

    def _url(self, key: str, entry: object) -> str:
        if not isinstance(entry, str) or len(entry) > URL_LIMIT:
            raise DestinationError(f'"{key}" must hold Apprise URLs of at most {URL_LIMIT} characters: {EXAMPLE}.')
        found = _URL.fullmatch(entry.strip())
        if found is None or not entry.strip().isprintable():
            raise DestinationError(f'"{key}" holds something that is not an Apprise URL; put one such as {EXAMPLE}.')
        scheme = found[1].lower()
        if scheme in {"http", "https"}:
            raise DestinationError(
                f'"{key}" holds a web address; put the service\'s Apprise URL, or use the channel webhook.'
            )
        if not self._allow_insecure and scheme in GENERIC:
            raise DestinationError(
                f'"{key}" uses {scheme}://, which posts to any address unchecked; use the channel webhook,'
                f" or set {SWITCH}=true if that is meant."
            )
        if not self._allow_insecure and scheme in LOCAL:
            raise DestinationError(
                f'"{key}" uses {scheme}://, which reaches nobody but this machine; set {SWITCH}=true if that is meant.'
            )
        return f"{scheme}://{entry.strip().partition('://')[2]}"

    def render(self, notification: Notification, destination: AppriseDestination) -> AppriseMessage:  # noqa: ARG002 - the protocol's
        """Return the text."""
        return AppriseMessage(rendering.text(notification), notification.settled)

    async def send(self, destination: AppriseDestination, message: AppriseMessage) -> Receipt:
        """Call every service that does not have the message yet."""
        if self._closed:
            return Transient(Reason.SHUTDOWN, "the program is shutting down")
        waiting = [url for url in destination.urls if recipient_digest(url) not in message.settled]
        if not waiting:
            return Delivered(detail="all services were settled by earlier attempts")
        receipts = await asyncio.gather(*(self._send_one(url, destination, message) for url in waiting))
        took = frozenset(
            recipient_digest(url)
            for url, receipt in zip(waiting, receipts, strict=True)
            if isinstance(receipt, Delivered)
        )
        open_ = [receipt for receipt in receipts if isinstance(receipt, Transient)]
        wrong = [receipt for receipt in receipts if isinstance(receipt, Permanent)]
        if open_:
            first = open_[0]
            ambiguous = any(each.ambiguous for each in open_)
            return Transient(first.reason, first.detail, ambiguous=ambiguous, settled=took)
        if wrong and not took and len(waiting) == len(destination.urls):
            return wrong[0]
        refused = tuple(each.detail for each in wrong)
        said = f"; refused: {'; '.join(refused[:5])}" if refused else ""
        return Delivered(detail=f"{len(took)} taken{said}", refused=refused)

    async def _send_one(self, url: str, destination: AppriseDestination, message: AppriseMessage) -> Receipt:
        return await self._in_thread(url, destination.secrets, _notify, message.text)

    async def probe(self, destination: AppriseDestination) -> Receipt:
        """Let each plugin read its URL; none of them can be asked more without a message."""
        for url in destination.urls:
            receipt = await self._in_thread(url, destination.secrets, _understood)
            if not isinstance(receipt, Delivered):
                return receipt
        return Delivered(detail=f"Apprise understands {', '.join(destination.schemes)}; only a message tells more")

    async def _in_thread(
        self, url: str, secrets: tuple[str, ...], call: Callable[..., tuple[bool, str]], *arguments: object
    ) -> Receipt:
        """Run a call of the library under the deadline and turn its answer into a receipt."""
        scheme = url.partition("://")[0]
        end = asyncio.get_running_loop().time() + self._budget
        try:
            async with asyncio.timeout_at(end):
                await self._places.acquire()
        except TimeoutError:
            return Transient(Reason.TIMEOUT, "all of Apprise's threads were busy; earlier calls still hang")
        try:
            async with asyncio.timeout_at(end):
                good, said = await _thread(
                    lambda: call(url, self.deadline, self._allow_insecure, *arguments), self._places.release
                )
        except TimeoutError:
            return Transient(
                Reason.TIMEOUT, f"Apprise ({scheme}) did not end within {self._budget:.0f} s", ambiguous=True
            )
        except DestinationError as error:
            return Permanent(Reason.INVALID_SETTING, str(error), Scope.DESTINATION)
        except Exception as error:  # noqa: BLE001 - plugins are a hundred strangers' programs
            return Transient(Reason.INTERNAL, f"{type(error).__name__} in Apprise ({scheme})", ambiguous=True)
        if good:
            return Delivered(detail=f"Apprise ({scheme})")
        # It doesn't say whether the message had left, so it may have arrived.
        detail = f"Apprise ({scheme}) could not deliver" + (f": {scrub(said, secrets)}" if said else "")
        return Transient(Reason.SERVER_ERROR, detail, ambiguous=True)

    async def aclose(self) -> None:
        """Take no more work; the library keeps nothing open."""
        self._closed = True


def _parts(url: str) -> list[str]:
    """Return what a URL may hold as a secret: every word but the scheme and the names of options."""
    address, _, options = url.partition("://")[2].partition("?")
    words = re.split(r"[:/@#]", address) + [option.partition("=")[2] for option in options.split("&")]
    return [word for word in words if len(word) >= _SECRET_PART]


def _notify(url: str, seconds: float, allow_insecure: bool, text: rendering.Text) -> tuple[bool, str]:
    from pggit_alertd.channels import apprise_library

    return apprise_library.notify(url, seconds, text, allow_insecure=allow_insecure)


def _understood(url: str, seconds: float, allow_insecure: bool) -> tuple[bool, str]:
    from pggit_alertd.channels import apprise_library

    apprise_library.service(url, seconds, allow_insecure=allow_insecure)
    return True, ""


def _thread(call: Callable[[], _T], done: Callable[[], None]) -> "asyncio.Future[_T]":
    """Run a call in a daemon thread; `done` is called on the loop when the thread ends, whoever still waits for it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()

    def finish(result: _T | None, error: BaseException | None) -> None:
        done()
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # None only beside an error

    def run() -> None:
        result, error = None, None
        try:
            result = call()
        except BaseException as caught:  # noqa: BLE001 - handed to whoever waits
            error = caught
        try:
            loop.call_soon_threadsafe(finish, result, error)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    try:
        threading.Thread(target=run, name="apprise", daemon=True).start()
    except RuntimeError as error:  # the system gives no more threads
        finish(None, error)
    return future
