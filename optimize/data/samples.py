"""Millions of samples in little memory: columns of text that look like a sequence of samples.

Owns how rows are kept, not what they say (`optimize.data.manifest`). A plant's row takes 590 bytes as a
`Sample` with its strings and 70 here, so that 4.2 million take 0.3 GB. Words that repeat (a class, a
line, a folder) are kept once; a sample is made anew each time that one is asked for.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, islice
from operator import attrgetter
from typing import Protocol, Self, overload

from optimize.data.manifest import Sample

_AT_A_TIME = 4096
"""Samples that are taken in together: a call per column and not one per cell."""


class Samples(Sequence[Sample]):
    """Samples in a fixed order. Where they are few, a tuple of them serves as well."""

    def __init__(self, table: "_Table", rows: Sequence[int]) -> None:
        self._table = table
        self._rows = rows

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> Self:
        """Take in the samples as they come; none of them is kept."""
        table = _Table()
        coming, count = iter(samples), 0
        while some := list(islice(coming, _AT_A_TIME)):
            table.extend(some)
            count += len(some)
        table.close()
        return cls(table, range(count))

    def take(self, places: Iterable[int]) -> Self:
        """These samples in the order asked for; their text is shared, not copied."""
        return type(self)(self._table, _narrow(array("Q", (self._rows[p] for p in places))))

    def column(self, name: str) -> Iterator[str]:
        """One field of every sample, without making the samples."""
        return map(self._table.reader(name), self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> Sample: ...
    @overload
    def __getitem__(self, place: slice) -> Self: ...
    def __getitem__(self, place: int | slice) -> Sample | Self:
        if isinstance(place, slice):
            return type(self)(self._table, self._rows[place])
        return self._table.sample(self._rows[place])

    def __iter__(self) -> Iterator[Sample]:
        return map(self._table.sample, self._rows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as of a list: compared by content


def take(samples: Sequence[Sample], places: Iterable[int]) -> Sequence[Sample]:
    """These samples in the order asked for, kept as they were."""
    if isinstance(samples, Samples):
        return samples.take(places)
    return tuple(samples[place] for place in places)


def column(samples: Sequence[Sample], name: str) -> Iterator[str]:
    """One field of every sample, whatever they are kept in."""
    if isinstance(samples, Samples):
        return samples.column(name)
    return (getattr(sample, name) for sample in samples)


class _Column(Protocol):
    def extend(self, texts: Iterable[str]) -> None: ...
    def close(self) -> None: ...
    def __getitem__(self, row: int) -> str: ...


class _Table:
    """All columns; it is filled, then closed, then read."""

    def __init__(self) -> None:
        self._folder, self._name, self._group = _Words(), _Texts(), _Texts()
        self._others: dict[str, _Column] = {
            "label": _Words(),
            "line": _Words(),
            "station": _Words(),
            "captured_at": _Texts(),
            "generation": _Words(),
            "sha256": _Texts(),
        }

    def extend(self, samples: Sequence[Sample]) -> None:
        parts = [sample.path.rpartition("/") for sample in samples]
        self._folder.extend(folder + slash for folder, slash, _ in parts)
        self._name.extend(name for _, _, name in parts)
        # An image that is a group of its own costs no second copy of its path.
        self._group.extend("" if s.group == s.path else f"={s.group}" for s in samples)
        for field, column in self._others.items():
            column.extend(map(attrgetter(field), samples))

    def close(self) -> None:
        columns: list[_Column] = [self._folder, self._name, self._group, *self._others.values()]
        for column in columns:
            column.close()

    def sample(self, row: int) -> Sample:
        return Sample(
            path=self._path_of(row),
            group=self._group_of(row),
            **{field: column[row] for field, column in self._others.items()},
        )

    def reader(self, field: str) -> Callable[[int], str]:
        if field == "path":
            return self._path_of
        if field == "group":
            return self._group_of
        return self._others[field].__getitem__

    def _path_of(self, row: int) -> str:
        return self._folder[row] + self._name[row]

    def _group_of(self, row: int) -> str:
        text = self._group[row]
        return text[1:] if text else self._path_of(row)


class _Words:
    """A column of words that repeat: each is kept once, a row costs its number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._words: Sequence[str] = ()
        self._rows = array("I")

    def extend(self, texts: Iterable[str]) -> None:
        numbers = self._numbers
        self._rows.extend(numbers.setdefault(text, len(numbers)) for text in texts)

    def close(self) -> None:
        self._words = tuple(self._numbers)
        self._numbers.clear()
        self._rows = _narrow(self._rows)

    def __getitem__(self, row: int) -> str:
        return self._words[self._rows[row]]


class _Texts:
    """A column of texts that do not repeat, one behind the other in one buffer."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("Q", [0])

    def extend(self, texts: Iterable[str]) -> None:
        # File names need not be UTF-8; Python holds what is not as surrogates.
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        self._ends.extend(accumulate(map(len, encoded), initial=self._ends.pop()))
        self._bytes += b"".join(encoded)

    def close(self) -> None:
        self._ends = _narrow(self._ends)

    def __getitem__(self, row: int) -> str:
        return self._bytes[self._ends[row] : self._ends[row + 1]].decode("utf-8", "surrogatepass")


def _narrow(numbers: "array[int]") -> "array[int]":
    """The same numbers in the fewest bytes that hold the largest."""
    largest = max(numbers, default=0)
    code = next(code for code in "BHIQ" if largest < 256 ** array(code).itemsize)
    return array(code, numbers)
