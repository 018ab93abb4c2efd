from __future__ import annotations

import asyncio
import threading

import pytest

from bot.worker import Batch, Worker


@pytest.fixture
async def worker():
    made = Worker()
    yield made
    made.close()


def doubled(more, done):
    while some := more(2):
        for number, item in some:
            done(number, 2 * item)


async def test_each_is_told_its_own_result(worker):
    batch = Batch(worker, doubled)
    assert await asyncio.gather(*(batch.one(n) for n in range(50))) == [2 * n for n in range(50)]


async def test_a_result_does_not_wait_for_the_others_and_who_comes_meanwhile_joins_in(worker):
    go_on, runs = threading.Event(), []

    def work(more, done):
        runs.append(1)
        for number, item in more(1):
            done(number, item)
        assert go_on.wait(20)
        doubled(more, done)

    batch = Batch(worker, work)
    first, second = (asyncio.create_task(batch.one(n)) for n in (1, 2))
    assert await asyncio.wait_for(first, 20) == 1
    assert not second.done()
    third = asyncio.create_task(batch.one(3))
    await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.gather(second, third) == [4, 6]
    assert len(runs) == 1


async def test_other_work_is_not_kept_waiting_by_all_searches_that_wait(worker):
    begun, go_on, found = threading.Event(), threading.Event(), []

    def work(more, done):
        begun.set()
        assert go_on.wait(20)
        doubled(more, lambda number, result: (found.append(result), done(number, result)))

    batch = Batch(worker, work, size=4)
    asking = [asyncio.create_task(batch.one(n)) for n in range(40)]
    await asyncio.to_thread(begun.wait)
    other = asyncio.create_task(worker.run(lambda: len(found)))
    await asyncio.sleep(0)
    go_on.set()
    assert 4 <= await other < 40
    assert await asyncio.gather(*asking) == [2 * n for n in range(40)]


async def test_an_error_comes_to_those_who_had_no_result_and_to_nobody_after(worker):
    def work(more, done):
        (first, _), *rest = more(2)
        if rest:
            done(first, "well")
            raise ValueError("broken")
        done(first, "alone")

    batch = Batch(worker, work)
    found = await asyncio.gather(batch.one(1), batch.one(2), return_exceptions=True)
    assert found[0] == "well" and isinstance(found[1], ValueError)
    assert await batch.one(3) == "alone"


async def test_what_nobody_waits_for_any_more_is_left_out(worker):
    seen, held = [], threading.Event()

    def work(more, done):
        while some := more(1):
            assert held.wait(20)
            for number, item in some:
                seen.append(item)
                done(number, item)

    batch = Batch(worker, work)
    first, gone, last = (asyncio.create_task(batch.one(n)) for n in (1, 2, 3))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    held.set()
    assert await asyncio.gather(first, last) == [1, 3]
    assert seen == [1, 3]


@pytest.mark.parametrize("how", ["closed", "broken"])
async def test_where_nothing_can_be_worked_on_everybody_who_waits_is_told(worker, how):
    def broken(more, done):
        raise ValueError("broken before anything was taken")

    batch = Batch(worker, broken if how == "broken" else doubled)
    if how == "closed":
        worker.close()
    found = await asyncio.wait_for(asyncio.gather(batch.one(1), batch.one(2), return_exceptions=True), 20)
    assert all(isinstance(each, ValueError if how == "broken" else RuntimeError) for each in found)
