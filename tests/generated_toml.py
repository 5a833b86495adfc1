"""Plain values written as TOML."""

from __future__ import annotations

import string

BARE = set(string.ascii_letters + string.digits + "-_")


class Raw(str):
    """Text of a value that is written as it is."""


def toml(content):
    """Write plain values as TOML: sections as such, what is nested in them inline."""
    plain = {k: v for k, v in content.items() if not isinstance(v, dict)}
    lines = [f"{_key(k)} = {_value(v)}" for k, v in plain.items()]
    for name, section in content.items():
        if isinstance(section, dict):
            lines += [f"[{_key(name)}]", *(f"{_key(k)} = {_value(v)}" for k, v in section.items())]
    return "\n".join(lines) + "\n"


def _key(key):
    return key if key and set(key) <= BARE else _text(key)


def _text(text):
    escaped = "".join(f"\\U{ord(c):08X}" if c in '"\\\x7f' or ord(c) < 32 else c for c in text)
    return f'"{escaped}"'


def _value(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Raw):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + "}"
    return value.isoformat()
