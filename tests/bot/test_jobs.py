"""Work is done once, whatever crashes, and by however many processes."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import jobs as module
from bot.database import open_engine
from bot.jobs import Crew, GiveUp, Job, Jobs, Later, Lost


@asynccontextmanager
async def working(*crews: Crew) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(crew.run()) for crew in crews]
    try:
        yield
    finally:
        for crew in crews:
            await crew.stop(grace_s=0.2)
        await asyncio.gather(*tasks)


async def until(true: Callable[[], Awaitable[bool]], longest_s: float = 30) -> None:
    async with asyncio.timeout(longest_s):
        while not await true():
            await asyncio.sleep(0.02)


def over(jobs: Jobs) -> Callable[[], Awaitable[bool]]:
    async def none_open() -> bool:
        counts = await jobs.counts()
        return not (counts.get("waiting", 0) + counts.get("running", 0))

    return none_open


async def test_ten_thousand_deliveries_to_two_replicas_are_done_once_each(engine: AsyncEngine, database_url: str) -> None:
    other = await open_engine(database_url)
    done: Counter[str] = Counter()

    async def work(job: Job) -> None:
        done[job.key] += 1

    replicas = [Jobs(engine), Jobs(other)]
    crews = [Crew(jobs, {"k": work}, look_every_s=0.02, at_once=16) for jobs in replicas]
    async with working(*crews):
        new = 0
        for _ in range(5):
            put = (jobs.put("k", f"event-{n}", {"n": n}) for n in range(1000) for jobs in replicas)
            new += sum(await asyncio.gather(*put))
        await until(over(replicas[0]), 60)
    assert new == 1000
    assert len(done) == 1000 and set(done.values()) == {1}
    await other.dispose()


async def test_a_job_whose_process_died_is_taken_over_with_its_note(engine: AsyncEngine) -> None:
    dead = Jobs(engine, lease_s=0.3)
    await dead.put("k", "1", {"text": "hello"})
    (held,) = await dead.take(["k"], 5)
    await dead.note(held, ts="1.2")
    alive = Jobs(engine, lease_s=30)
    assert await alive.take(["k"], 5) == []
    await asyncio.sleep(0.4)
    (taken,) = await alive.take(["k"], 5)
    assert (taken.payload, taken.note, taken.attempts) == ({"text": "hello"}, {"ts": "1.2"}, 2)
    with pytest.raises(Lost):
        await dead.note(held, ts="9")  # whoever lost it can change nothing
    await dead.done(held)
    assert await alive.state("k", "1") == "running"
    await alive.done(taken)
    assert await alive.state("k", "1") == "done"


async def test_a_long_job_is_held_while_it_works(engine: AsyncEngine) -> None:
    jobs, other, times = Jobs(engine, lease_s=2.4), Jobs(engine), []

    async def work(job: Job) -> None:
        times.append(job.attempts)
        await asyncio.sleep(4)

    await jobs.put("k", "1", {})
    async with working(Crew(jobs, {"k": work}, look_every_s=0.05)):
        await until(lambda: asyncio.sleep(0, bool(times)))
        for _ in range(15):
            assert await other.take(["k"], 1) == []
            await asyncio.sleep(0.2)
        await until(over(jobs))
    assert times == [1]


async def test_a_process_that_was_held_up_goes_on_with_its_own_work_once(engine: AsyncEngine) -> None:
    jobs, times = Jobs(engine, lease_s=0.3), []

    async def work(job: Job) -> None:
        times.append(job.attempts)
        time.sleep(0.6)  # nothing else of this process has its turn: the lease runs out
        for _ in range(20):
            await asyncio.sleep(0.02)

    await jobs.put("k", "1", {})
    async with working(Crew(jobs, {"k": work}, look_every_s=0.01)):
        await until(over(jobs))
    assert times == [1]


async def test_jobs_of_a_lane_keep_their_order_even_when_one_fails_at_first(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "delay_s", lambda attempts: 0.05)
    jobs, order = Jobs(engine), []

    async def work(job: Job) -> None:
        if job.key == "a1" and job.attempts == 1:
            raise OSError
        order.append(job.key)

    for key in ("a1", "a2", "b1", "a3"):
        await jobs.put("k", key, {}, lane=key[0])
    async with working(Crew(jobs, {"k": work}, look_every_s=0.02)):
        await until(over(jobs))
    assert [key for key in order if key[0] == "a"] == ["a1", "a2", "a3"]
    assert order.index("b1") < order.index("a1"), "another lane need not wait"


async def test_what_cannot_be_done_is_given_up_and_somebody_is_told(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "delay_s", lambda attempts: 0.0)
    monkeypatch.setattr(module, "TRIES", 3)
    jobs, tries, told = Jobs(engine), Counter[str](), []

    async def work(job: Job) -> None:
        tries[job.key] += 1
        if job.key == "never":
            raise GiveUp("it is gone")
        if job.key == "later" and tries["later"] < 6:
            raise Later(0.0)  # being asked to wait is no failure
        if job.key == "broken":
            raise RuntimeError

    async def tell(job: Job) -> None:
        told.append((job.key, job.payload["who"]))

    for key in ("never", "later", "broken"):
        await jobs.put("k", key, {"who": "U1"})
    async with working(Crew(jobs, {"k": work}, look_every_s=0.02, on_failure=tell)):
        await until(over(jobs))
    assert tries == {"never": 1, "later": 6, "broken": 3}
    assert sorted(told) == [("broken", "U1"), ("never", "U1")]
    assert [await jobs.state("k", key) for key in ("never", "later", "broken")] == ["failed", "done", "failed"]


async def test_a_job_can_be_changed_until_it_is_begun_and_cancelled_while_nobody_works_on_it(engine: AsyncEngine) -> None:
    jobs = Jobs(engine)
    await jobs.put("k", "1", {"text": "first"})
    assert await jobs.amend("k", "1", {"text": "second"})
    (job,) = await jobs.take(["k"], 1)
    assert job.payload == {"text": "second"}
    assert not await jobs.amend("k", "1", {"text": "third"})
    assert not await jobs.cancel("k", "1")
    await jobs.again(job, 0)
    assert not await jobs.amend("k", "1", {"text": "third"}), "a first try may have said something already"
    assert await jobs.cancel("k", "1")
    assert await jobs.take(["k"], 1) == [] and not await jobs.cancel("k", "1")
    assert not await jobs.put("k", "1", {}), "it is done, however it ended"


async def test_a_process_that_is_stopped_gives_its_work_back_at_once(engine: AsyncEngine) -> None:
    jobs, begun = Jobs(engine), asyncio.Event()

    async def work(job: Job) -> None:
        begun.set()
        await asyncio.sleep(60)

    await jobs.put("k", "1", {})
    async with working(Crew(jobs, {"k": work}, look_every_s=0.02)):
        await begun.wait()
    (again,) = await Jobs(engine).take(["k"], 1)
    assert again.attempts == 1, "an interruption is no failed try"


async def test_an_owner_can_be_removed_and_what_is_over_keeps_no_payload(engine: AsyncEngine) -> None:
    jobs = Jobs(engine)
    await jobs.put("k", "1", {"text": "private"}, owner="T1")
    await jobs.put("k", "2", {"text": "private"}, owner="T2")
    await jobs.remove("T1")
    (job,) = await jobs.take(["k"], 5)
    assert job.key == "2"
    await jobs.done(job)
    async with engine.connect() as connection:
        rows = (await connection.exec_driver_sql("SELECT payload FROM jobs")).all()
    assert [row[0] for row in rows] == [None]
