"""What the real Slack and PagerDuty check in a payload, and the words in which they complain.

The limits are those of reference documentation; what is undocumented but known (the sum of a message's blocks) is the
figure people have met.
"""

import json
from typing import Any

TEXT_LIMIT = 40_000
BLOCKS_LIMIT = 50
ATTACHMENTS_LIMIT = 100
SECTION_LIMIT = 3000
FIELDS_LIMIT = 10
FIELD_LIMIT = 2000
HEADER_LIMIT = 150
ELEMENTS_LIMIT = 10
BLOCKS_TOTAL = 13_200

SUMMARY_LIMIT = 1024
DEDUP_KEY_LIMIT = 255
EVENT_LIMIT = 512_000
KEY_LENGTH = 32

Complaint = tuple[int, str]


def slack_complaint(body: bytes) -> Complaint | None:  # noqa: C901, PLR0911 - one return a complaint
    """Return status and word of Slack's refusal, or None for a message it would take."""
    try:
        payload = json.loads(body)
    except ValueError:
        return 400, "invalid_payload"
    if not isinstance(payload, dict):
        return 400, "invalid_payload"
    attachments = payload.get("attachments", [])
    if not isinstance(attachments, list) or not all(isinstance(each, dict) for each in attachments):
        return 400, "invalid_attachments"
    if len(attachments) > ATTACHMENTS_LIMIT:
        return 400, "too_many_attachments"
    text = payload.get("text", "")
    if not isinstance(text, str) or len(text) > TEXT_LIMIT:
        return 400, "msg_too_long"
    if not text and not attachments and not payload.get("blocks"):
        return 400, "no_text"
    total = 0
    for blocks in [payload.get("blocks", []), *(each.get("blocks", []) for each in attachments)]:
        if not isinstance(blocks, list) or len(blocks) > BLOCKS_LIMIT:
            return 400, "invalid_blocks"
        for block in blocks:
            size = _block_size(block)
            if size is None:
                return 400, "invalid_blocks"
            total += size
    return (400, "msg_blocks_too_long") if total > BLOCKS_TOTAL else None


def _block_size(block: Any) -> int | None:
    """Return a block's characters, or None when Slack would not take it."""
    if not isinstance(block, dict):
        return None
    match block.get("type"):
        case "section":
            fields = block.get("fields", [])
            if not isinstance(fields, list) or len(fields) > FIELDS_LIMIT or ("text" not in block and not fields):
                return None
            sizes = [_text_size(field, FIELD_LIMIT) for field in fields]
            if "text" in block:
                sizes.append(_text_size(block["text"], SECTION_LIMIT))
        case "header":
            sizes = [_text_size(block.get("text"), HEADER_LIMIT, kinds=("plain_text",))]
        case "context":
            elements = block.get("elements", [])
            if not isinstance(elements, list) or not 0 < len(elements) <= ELEMENTS_LIMIT:
                return None
            sizes = [_text_size(element, FIELD_LIMIT) for element in elements]
        case "divider":
            sizes = [0]
        case _:
            return None
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _text_size(text: Any, limit: int, kinds: tuple[str, ...] = ("mrkdwn", "plain_text")) -> int | None:
    if not isinstance(text, dict) or text.get("type") not in kinds:
        return None
    value = text.get("text")
    return len(value) if isinstance(value, str) and 0 < len(value) <= limit else None


def pagerduty_complaints(body: bytes) -> tuple[dict[str, Any], list[str]]:
    """Return the event and the sentences PagerDuty would refuse it with; no sentence means it is taken."""
    try:
        event = json.loads(body)
    except ValueError:
        return {}, ["Event object is not valid JSON"]
    if not isinstance(event, dict):
        return {}, ["Event object is not a JSON object"]
    errors: list[str] = []
    key = event.get("routing_key")
    if not isinstance(key, str) or len(key) != KEY_LENGTH:
        errors.append(f"Length of 'routing_key' is incorrect (should be {KEY_LENGTH} characters)")
    action = event.get("event_action")
    if action not in {"trigger", "acknowledge", "resolve"}:
        errors.append("'event_action' is missing or blank")
    dedup_key = event.get("dedup_key", "")
    if not isinstance(dedup_key, str) or len(dedup_key) > DEDUP_KEY_LIMIT:
        errors.append(f"'dedup_key' is too long (maximum is {DEDUP_KEY_LIMIT} characters)")
    elif action in {"acknowledge", "resolve"} and not dedup_key:
        errors.append("'dedup_key' is missing or blank")
    if action == "trigger":
        errors.extend(_payload_complaints(event.get("payload")))
    return event, errors


def _payload_complaints(payload: Any) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing or blank"]
    errors = [
        f"'{name}' is missing or blank"
        for name in ("summary", "source", "severity")
        if not isinstance(payload.get(name), str) or not payload[name]
    ]
    summary = payload.get("summary")
    if isinstance(summary, str) and len(summary) > SUMMARY_LIMIT:
        errors.append(f"'summary' is too long (maiximum is {SUMMARY_LIMIT} characters)")  # PagerDuty's own spelling
    if payload.get("severity") not in {"critical", "error", "warning", "info"}:
        errors.append("'severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')")
    if not isinstance(payload.get("custom_details", {}), dict):
        errors.append("'custom_details' is invalid")
    return errors
