"""Headers of the pages of a Parquet file, which pyarrow does not show: where values begin.

They are structs of Thrift's compact protocol, as parquet.thrift of apache/parquet-format has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["DATA_PAGE", "PLAIN", "PageHeader", "read_page_header"]

DATA_PAGE = 0  # parquet.thrift: PageType
PLAIN = 0  # parquet.thrift: Encoding
_INTEGERS, _BINARY, _STRUCT = (4, 5, 6), 8, 12
_SIZES = {1: 0, 2: 0, 3: 1, 7: 8}  # bytes of true, false (which are in the kind), byte and double


@dataclass(frozen=True)
class PageHeader:
    """What comes before the bytes of a page.

    Attributes:
        bytes: length of the header itself.
        kind: DATA_PAGE, or the number of another kind.
        page_bytes: length of the page, as it is stored.
        values: number of values, nulls included; 0 unless it is a data page.
        encoding: PLAIN, or the number of another encoding; -1 unless it is a data page.
    """

    bytes: int
    kind: int
    page_bytes: int
    values: int
    encoding: int


def read_page_header(content: bytes) -> PageHeader:
    """Read the header at the beginning of these bytes, of which more may follow.

    Raises:
        ValueError: it is no header, or not a whole one.
    """
    reader = _Reader(content)
    try:
        fields = reader.read_struct()
        page = fields.get(5, {})
        numbers = [int(n) for n in (fields[1], fields[3], page.get(1, 0), page.get(2, -1))]
        return PageHeader(reader.place, *numbers)
    except (IndexError, KeyError, AttributeError, TypeError, RecursionError):
        raise ValueError("not a page header") from None


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    def read_struct(self) -> dict[int, Any]:
        """Return field id -> integer or struct; None for other values, which nobody needs."""
        fields: dict[int, Any] = {}
        number = 0
        while kind := self._byte():
            number = number + (kind >> 4) if kind >> 4 else self._signed()
            fields[number] = self._value(kind & 15)
        return fields

    def _value(self, kind: int) -> Any:
        if kind in _INTEGERS:
            return self._signed()
        if kind == _STRUCT:
            return self.read_struct()
        if kind in _SIZES:
            self._skip(_SIZES[kind])
        elif kind == _BINARY:
            self._skip(self._unsigned())
        else:
            raise KeyError(kind)  # a page header has neither lists nor maps
        return None

    def _byte(self) -> int:
        self.place += 1
        return self.content[self.place - 1]

    def _skip(self, count: int) -> None:
        self.place += count
        if self.place > len(self.content):
            raise IndexError(self.place)

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def _signed(self) -> int:
        value = self._unsigned()
        return value >> 1 if value % 2 == 0 else -(value >> 1) - 1
