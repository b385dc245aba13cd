"""A TOML table read strictly: every key known, every key present, every value of its type and in its range.

The message of each error is ``FILE: [TABLE]: what is wrong``, and for an unknown key the known one that is closest.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinydeploy.errors import BoardError, did_you_mean

_SIZE = re.compile(r"(\d+) ?(B|KiB|MiB)")
_UNIT_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20}


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the file ``where``; ``name`` is empty for the top level."""

    where: str
    name: str
    values: Mapping[str, Any]

    def error(self, message: str) -> BoardError:
        """The error that names the file and this table."""
        place = f"{self.where}: [{self.name}]" if self.name else self.where
        return BoardError(f"{place}: {message}")

    def expect_keys(self, required: Iterable[str], optional: Iterable[str] = ()) -> None:
        """Raise unless the table holds all `required` keys and nothing beside them and the `optional` ones."""
        required = list(required)
        known = [*required, *optional]
        for key, value in self.values.items():
            if key not in known:
                kind = "table" if isinstance(value, dict) and not self.name else "key"
                raise self.error(f"unknown {kind} {key!r}{did_you_mean(key, known)}")
        for key in required:
            if key not in self.values:
                raise self.error(f"missing key {key!r}")

    def table(self, key: str) -> Table:
        """The table under `key`, which must be one."""
        value = self.values[key]
        if not isinstance(value, dict):
            raise self.error(f"{key!r} must be a table, not {value!r}")
        return Table(self.where, f"{self.name}.{key}" if self.name else key, value)

    def integer(self, key: str, low: int, high: int) -> int:
        """The integer under `key`, in `low`..`high` inclusive."""
        value = self.values[key]
        # bool is an int in Python, and never one that was meant.
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(f"{key} must be an integer, not {value!r}")
        if not low <= value <= high:
            raise self.error(f"{key} is {value:,}; it must be {low:,} to {high:,}")
        return value

    def boolean(self, key: str) -> bool:
        """The boolean under `key`."""
        value = self.values[key]
        if not isinstance(value, bool):
            raise self.error(f"{key} must be true or false, not {value!r}")
        return value

    def text(self, key: str) -> str:
        """The string under `key`, not empty."""
        value = self.values[key]
        if not isinstance(value, str) or not value:
            raise self.error(f"{key} must be a non-empty string, not {value!r}")
        return value

    def choice(self, key: str, known: Iterable[str]) -> str:
        """The string under `key`, one of `known`."""
        known = list(known)
        value = self.text(key)
        if value not in known:
            hint = did_you_mean(value, known) or f"; known: {', '.join(known)}"
            raise self.error(f"unknown {key} {value!r}{hint}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """The list of non-empty strings under `key`."""
        value = self.values[key]
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise self.error(f"{key} must be a list of strings, not {value!r}")
        return tuple(value)

    def size_bytes(self, key: str) -> int:
        """The size under `key`, written like ``"240 KiB"``, in bytes; not zero, a multiple of 8."""
        value = self.values[key]
        match = _SIZE.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise self.error(f'{key} must be a size such as "240 KiB" or "1 MiB", not {value!r}')
        size = int(match[1]) * _UNIT_BYTES[match[2]]
        if size == 0 or size % 8:
            raise self.error(f"{key} is {size} B; it must be a multiple of 8 above zero")
        return size


def read_toml(path: Path, where: str) -> Table:
    """The top level of the TOML file `path`, named `where` in messages. Raises BoardError if it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise BoardError(f"{where}: cannot be read ({reason}); check its name and its permissions") from error
    except UnicodeDecodeError as error:
        raise BoardError(f"{where}: not valid TOML: it is no text; is it another file?") from error
    return parse_toml(text, where)


def parse_toml(text: str, where: str) -> Table:
    """The top level of `text`, named `where` in messages. Raises BoardError if it is not TOML."""
    try:
        return Table(where, "", tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BoardError(f"{where}: not valid TOML: {error}") from error


def toml_lines(values: Mapping[str, object]) -> str:
    """Keys with strings, numbers, booleans and lists of them, a line each.

    A string of JSON, without characters beyond ASCII, is one of TOML too, and so are JSON's numbers and lists.
    """
    return "".join(
        f"{key if key.isidentifier() else json.dumps(key)} = {json.dumps(value)}\n" for key, value in values.items()
    )
