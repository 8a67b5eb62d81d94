"""Reading a setting's config: whatever JSON people have put there, with an error that names the key to mend."""

from collections.abc import Mapping
from typing import Any

from pggit_alertd.errors import DestinationError


def mapping(config: object, example: str) -> Mapping[str, Any]:
    """Return the config if it is a JSON object. Raises DestinationError that shows one."""
    if not isinstance(config, Mapping):
        what = "empty" if config is None else f"a {type(config).__name__}"
        raise DestinationError(f"The config is {what}; put a JSON object such as {example}.")
    return config


def first_of(config: Mapping[str, Any], keys: tuple[str, ...], example: str) -> tuple[str, Any]:
    """Return the first of the keys that is present with its value. Raises DestinationError when none is."""
    for key in keys:
        if config.get(key) is not None:
            return key, config[key]
    names = " or ".join(f'"{key}"' for key in keys)
    raise DestinationError(f"The config has no {names}; put a JSON object such as {example}.")
