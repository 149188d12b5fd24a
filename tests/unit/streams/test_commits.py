"""Commits asked for together travel together, and each asker hears what became of its own."""

import asyncio
from collections.abc import Mapping

import pytest
from aiokafka import TopicPartition

from streams.log.commits import Commits

A, B, C = (TopicPartition("actions.push", number) for number in range(3))


class Group:
    """Takes commits one at a time, and only once it is let."""

    def __init__(self) -> None:
        self.taken: list[dict[TopicPartition, int]] = []
        self.may = asyncio.Semaphore(0)
        self.fails: list[Exception] = []

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self.taken.append(dict(offsets))
        await self.may.acquire()
        if self.fails:
            raise self.fails.pop(0)


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_is_asked_for_while_one_is_under_way_shares_the_next() -> None:
    group = Group()
    commits = Commits(group.commit)
    first = asyncio.create_task(commits.now(A, 1))
    await _settle()
    others = [asyncio.create_task(commits.now(at, 7)) for at in (B, C)]
    await _settle()
    assert group.taken == [{A: 1}]

    group.may.release()
    await first
    await _settle()
    assert group.taken == [{A: 1}, {B: 7, C: 7}]
    assert not any(other.done() for other in others)

    group.may.release()
    await asyncio.gather(*others)


async def test_nobody_is_told_of_a_commit_that_was_sent_before_she_asked() -> None:
    group = Group()
    commits = Commits(group.commit)
    first = asyncio.create_task(commits.now(A, 1))
    await _settle()
    second = asyncio.create_task(commits.now(A, 2))
    await _settle()
    group.may.release()
    await first
    await _settle()
    assert not second.done()
    group.may.release()
    await second
    assert group.taken[-1] == {A: 2}


async def test_a_failure_reaches_those_it_was_for_and_nobody_else() -> None:
    group = Group()
    group.fails = [OSError("away")]
    commits = Commits(group.commit)
    first = asyncio.create_task(commits.now(A, 1))
    await _settle()
    second = asyncio.create_task(commits.now(B, 1))
    await _settle()
    group.may.release()
    group.may.release()
    with pytest.raises(OSError, match="away"):
        await first
    await second
    assert group.taken == [{A: 1}, {B: 1}]


async def test_one_who_is_cancelled_does_not_take_the_answer_from_the_others() -> None:
    group = Group()
    commits = Commits(group.commit)
    both = [asyncio.create_task(commits.now(at, 1)) for at in (A, B)]
    await _settle()
    both[0].cancel()
    await _settle()
    group.may.release()
    await both[1]
    assert both[0].cancelled()
    # and the next goes its way
    group.may.release()
    await commits.now(C, 3)
    assert group.taken[-1] == {C: 3}
