"""Signatures of the generic webhook, as Standard Webhooks 1.0 describes them: HMAC-SHA256 over "id.timestamp.body".

The id and the timestamp are signed together with the body, so that neither a captured request can be sent again later
nor its id be changed to get past a receiver that remembers ids. Several secrets give several signatures, which is how a
secret is changed without a moment at which the receiver refuses everything.
"""

import base64
import binascii
import hashlib
import hmac

from pggit_alertd.errors import DestinationError

PREFIX = "whsec_"
SHORTEST = 16
LONGEST = 256
SECRETS_LIMIT = 4


def parse_secrets(value: object) -> tuple[bytes, ...]:
    """Return the keys that `"secret"` holds: one, or a list of up to SECRETS_LIMIT. Raises DestinationError.

    `whsec_` stands before Base64, as Standard Webhooks writes keys; any other text is the key as it stands, in UTF-8.
    """
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list) or not 0 < len(entries) <= SECRETS_LIMIT:
        raise DestinationError(f'"secret" must be text, or a list of one to {SECRETS_LIMIT} while it is being changed.')
    return tuple(dict.fromkeys(_key(entry) for entry in entries))


def _key(entry: object) -> bytes:
    if not isinstance(entry, str):
        raise DestinationError('"secret" must be text, such as whsec_ and Base64 of 32 random bytes.')
    entry = entry.strip()
    if entry.startswith(PREFIX):
        encoded = entry.removeprefix(PREFIX)
        try:
            key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise DestinationError(f'"secret" starts with {PREFIX}, and what follows is not Base64.') from None
    else:
        key = entry.encode("utf-8", "surrogatepass")
    if not SHORTEST <= len(key) <= LONGEST:
        raise DestinationError(
            f'"secret" is {len(key)} bytes long; put {SHORTEST} to {LONGEST}, such as {PREFIX} and Base64 of 32.'
        )
    return key


def signature(keys: tuple[bytes, ...], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the webhook-signature header: one `v1,` signature for each key, with blanks between them."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join(f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}" for key in keys)
