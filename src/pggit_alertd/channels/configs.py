"""Reading a setting's config: whatever JSON people have put there, with an error that names the key to mend."""

from collections.abc import Mapping, Sequence
from typing import Any

from pggit_alertd.errors import DestinationError

# What people wrote is JSON, whatever Python has made of it.
_JSON_WORDS = {
    type(None): "null",
    str: "a string",
    list: "an array",
    int: "a number",
    float: "a number",
    bool: "true or false",
}


def mapping(config: object, example: str) -> Mapping[str, Any]:
    """Return the config if it is a JSON object. Raises DestinationError that shows one."""
    if not isinstance(config, Mapping):
        what = _JSON_WORDS.get(type(config), "no object")
        raise DestinationError(f"The config is {what}; put a JSON object such as {example}.")
    return config


def strangers(config: object, known: Sequence[str]) -> list[str]:
    """Return the keys of a config that no channel looks at, because of a slip of the pen or of another channel."""
    return [key for key in config if key not in known] if isinstance(config, Mapping) else []


def first_of(config: Mapping[str, Any], keys: tuple[str, ...], example: str) -> tuple[str, Any]:
    """Return the first of the keys that is present with its value. Raises DestinationError when none is."""
    for key in keys:
        if config.get(key) is not None:
            return key, config[key]
    names = " or ".join(f'"{key}"' for key in keys)
    raise DestinationError(f"The config has no {names}; put a JSON object such as {example}.")
