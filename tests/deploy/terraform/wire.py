"""Protocol buffers on the wire, as far as Terraform's plugin protocol needs them."""

from collections.abc import Iterable

Value = int | bytes | str
Fields = dict[int, list[int | bytes]]


def encode(*fields: tuple[int, Value | Iterable[bytes]]) -> bytes:
    """A message of numbered fields: numbers and bools, bytes and text, or several of a repeated field."""
    return b"".join(_field(number, value) for number, value in fields)


def decode(message: bytes) -> Fields:
    """The values of every field by its number; varints and fields with a length only, as no others occur."""
    fields: Fields = {}
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        value: int | bytes
        length, position = _read_varint(message, position)
        if tag & 7 == 2:
            value = message[position : position + length]
            position += length
        elif tag & 7 == 0:
            value = length
        else:
            raise ValueError(f"wire type {tag & 7} of field {tag >> 3}")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _field(number: int, value: Value | Iterable[bytes]) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value) if value else b""
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        value = (value,)  # an empty one, too: a message without fields is not the same as none
    return b"".join(_varint(number << 3 | 2) + _varint(len(item)) + item for item in value)


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        digit = message[position]
        position += 1
        number |= (digit & 0x7F) << shift
        shift += 7
        if digit < 0x80:
            return number, position
