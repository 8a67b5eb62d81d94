"""When each job reached its work function, in a file that the bench and the workers of all systems share.

Standard library only: the peers' environment has nothing of this project. Cell n is the Unix time of job n, cell 0 that
of the first job of all, 0 until then; and the last cell what CPU the worker had used by that first job, for its start.
"""

import mmap
import struct
import time
from pathlib import Path

_TIME = struct.Struct("d")


class Arrivals:
    """Cells of times in a mapped file; writing one costs about a microsecond."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._last = len(self._map) // _TIME.size - 1

    @classmethod
    def create(cls, path: Path, cells: int) -> "Arrivals":
        """Make the file, with room for this many jobs."""
        path.write_bytes(bytes(_TIME.size * (cells + 2)))
        return cls(path)

    def note(self, number: int) -> None:
        """Write down that job `number` is being worked on now; what lies beyond the file counts for cell 0 only."""
        now = time.time()
        if 0 < number < self._last:
            _TIME.pack_into(self._map, number * _TIME.size, now)
        if not self.first:
            _TIME.pack_into(self._map, 0, now)
            _TIME.pack_into(self._map, self._last * _TIME.size, time.process_time())

    @property
    def first(self) -> float:
        """When the first job of all was worked on, 0 if none was."""
        return self.of(0)

    @property
    def start_cpu(self) -> float:
        """CPU seconds that the worker had used when it was called first."""
        return self.of(self._last)

    def of(self, number: int) -> float:
        """When job `number` was worked on, 0 if it was not."""
        return float(_TIME.unpack_from(self._map, number * _TIME.size)[0])

    def wait(self, number: int, within: float = 30.0) -> float:
        """Return when job `number` was worked on. Raises TimeoutError."""
        deadline = time.monotonic() + within
        while not (at := self.of(number)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"job {number} was not worked on")
            time.sleep(0.0005)  # another process writes the cell, and has nothing to wake us with
        return at

    def clear(self) -> None:
        """Forget everything."""
        self._map[:] = bytes(len(self._map))
