"""Answer memory: a limit for the memory of all large answers together, however many arrive at once."""

import trio

from job.engines.transport import ANSWER_LIMIT

ANSWERS_LIMIT = 64 * 2**20
"""Maximum bytes of all large answers together, of the 512 MiB that the job has by default. Parsing takes more."""


class AnswerMemory:
    """Limits the memory of the large answers of a run. `ANSWER_LIMIT` of it is for one answer at a time.

    That answer can always be read to its end. Otherwise several answers that are half read could wait for one another.
    """

    def __init__(self, limit: int = ANSWERS_LIMIT) -> None:
        self.free = limit - ANSWER_LIMIT
        self.first: AnswerShare | None = None
        """The answer that has the memory for one at a time."""
        self.waiting = trio.lowlevel.ParkingLot()


class AnswerShare:
    """The memory of one answer."""

    def __init__(self, memory: AnswerMemory) -> None:
        self._memory = memory
        self._size = 0

    async def grow(self, size: int) -> None:  # noqa: ASYNC910  it is called for each piece of an answer
        """Takes so many more bytes, and waits until there are as many."""
        memory = self._memory
        while memory.first is not self:
            if size <= memory.free:
                memory.free -= size
                self._size += size
                return  # noqa: ASYNC910  as above
            if memory.first is None:
                memory.first = self
                return  # noqa: ASYNC910  as above
            await memory.waiting.park()

    def release(self) -> None:
        """Gives the memory back: the answer is no longer needed."""
        memory = self._memory
        memory.free += self._size
        self._size = 0
        if memory.first is self:
            memory.first = None
        memory.waiting.unpark_all()
