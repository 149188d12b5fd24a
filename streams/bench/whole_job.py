"""The whole job, raw message to action, in several cases; each is run several times."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Final

import redis

from streams.bench import ground, memory, parts, past, stretch
from streams.bench.hop import Case, Hop, Measured, load
from streams.bench.plan import Plan
from streams.bench.stretch import Stretch
from streams.bench.telling import Table, figure
from streams.log.topics import create
from streams.settings import Deployment

Say = Callable[[str], None]
Place = Callable[[str], Deployment]

_HOPS: Final = ("intake", "decide")


@dataclass(slots=True)
class Found:
    """What the runs of one case came to."""

    intake: list[Measured] = field(default_factory=list)
    decide: list[Measured] = field(default_factory=list)
    whole: list[Stretch] = field(default_factory=list)
    bytes_per_user: dict[str, float] = field(default_factory=dict)

    def as_json(self, case: Case) -> dict[str, Any]:
        """Return the medians."""
        return {
            "users": case.users,
            "partitions": case.partitions,
            "workers": case.workers,
            "whole_job": stretch.middle(self.whole),
            "intake": stretch.middle([run.whole for run in self.intake]),
            "decide": stretch.middle([run.whole for run in self.decide]),
            "decisions": stretch.middle([run.due for run in self.decide if run.due is not None]),
            "bytes_per_user": self.bytes_per_user,
        }


class WholeJob:
    """Runs cases, each only once however many parts ask for it."""

    def __init__(self, place: Place, plan: Plan, say: Say) -> None:
        """``place`` gives a deployment with topics of its own, ``name`` among them."""
        self._place = place
        self._plan = plan
        self._say = say
        self._past: past.Past | None = None
        self._found: dict[Case, Found] = {}
        # Topics are never named twice: Kafka goes on deleting after it has said that they are gone.
        self._serial = count()

    @property
    def past(self) -> past.Past:
        """Return the people whose lives everybody in Redis starts with."""
        if self._past is None:
            self._say("people who live three weeks in memory, and a model that learns from them")
            self._past = past.live(self._plan.people)
        return self._past

    def of(self, case: Case) -> Found:
        """Return what a case came to."""
        if case not in self._found:
            self._found[case] = self._measure(case)
        return self._found[case]

    def _measure(self, case: Case) -> Found:
        found = Found()
        with self._loaded(case) as raw:
            for number in range(self._plan.runs):
                self._say(f"{case}: run {number + 1} of {self._plan.runs}")
                place = self._place(f"run-{next(self._serial)}")
                self._run(_reading(place, raw), case, found)
        return found

    @contextmanager
    def _loaded(self, case: Case) -> Iterator[str]:
        """Write the raw messages once for all runs."""
        place = self._place(f"raw-{next(self._serial)}")
        try:
            self._say(f"{case}: {case.events:,} raw messages")
            asyncio.run(create(place, case.partitions, 1))
            topic = place.sources[0].topic
            asyncio.run(load(place, topic, case))
            yield topic
        finally:
            asyncio.run(ground.clean(place))

    def _run(self, deployment: Deployment, case: Case, found: Found) -> None:
        lives = self.past
        file, model = past.campaigns_file(), lives.model
        with (
            ground.standing(deployment, file, case.partitions, model),
            redis.Redis.from_url(deployment.redis) as client,
        ):
            before = memory.used(client)
            past.settle(client, lives, case.users, case.partitions)
            grown = memory.used(client) - before
            hop = Hop(deployment, case)
            intake = hop.intake()
            decide = hop.decide()
            found.intake.append(intake)
            found.decide.append(decide)
            hops = [(run.whole, run.records) for run in (intake, decide)]
            if decide.due is not None:
                hops.append((decide.due, decide.due.records))
            found.whole.append(stretch.one_way(hops, case.events))
            found.bytes_per_user = memory.per_user(client, case.users, case.partitions, grown)


def _reading(deployment: Deployment, topic: str) -> Deployment:
    """Return a deployment that reads its raw messages from ``topic``."""
    environ = Deployment.of_child(
        KAFKA=deployment.kafka,
        REDIS=deployment.redis,
        TOPIC_PREFIX=deployment.topic_prefix,
        SOURCES=topic,
    )
    return Deployment.from_env(environ)


# --- the two parts that are made of it ----------------------------------------------------------


def measure(job: WholeJob, plan: Plan) -> dict[str, Any]:
    """Measure all cases; the headline is the reference."""
    cases = [job.of(case).as_json(case) for case in plan.cases]
    reference = job.of(plan.reference)
    headline = cases[0]
    return {
        "whole_job": headline["whole_job"],
        "intake": headline["intake"],
        "decide": headline["decide"],
        "decisions": headline["decisions"],
        "parts": {
            "intake": _parts(reference.intake),
            "decide": _parts(reference.decide),
        },
        "bytes_per_user": headline["bytes_per_user"],
        "cases": cases,
    }


def grow(job: WholeJob, plan: Plan) -> dict[str, Any]:
    """Measure with more and more users, and over the quarters of a back-log of one hour."""
    sizes = []
    for case in plan.growing:
        found = job.of(case)
        decide = stretch.middle([run.whole for run in found.decide])
        sizes.append(
            {
                "users": case.users,
                "us_per_event": decide["us_per_event"],
                "worker_us_per_event": decide["worker_us_per_event"],
                "redis_us_per_event": decide["redis_us_per_event"],
                "bytes_per_user": found.bytes_per_user["all_in"],
            }
        )
    found = job.of(plan.reference)
    quarters = [
        stretch.middle([run.quarters[quarter] for run in found.decide])["us_per_event"]
        for quarter in range(4)
    ]
    return {"growth": {"by_users": sizes, "backlog_quarters_us_per_event": quarters}}


def _parts(runs: list[Measured]) -> dict[str, Any]:
    samples: Counter[str] = Counter()
    for run in runs:
        samples.update(run.samples)
    both = []
    for run in runs:
        all_of_it = [run.whole] if run.due is None else [run.whole, run.due]
        both.append(replace(stretch.together(all_of_it), records=run.whole.records))
    worker = stretch.middle(both)["worker_us_per_event"]
    return {
        "us_per_event": parts.per_event(samples, worker),
        "samples": sum(samples.values()),
        "sampling_share_of_cpu": round(max(run.sampling for run in runs), 5),
    }


# --- told ---------------------------------------------------------------------------------------


def tables(found: dict[str, Any]) -> list[Table]:
    """Return the cases, the parts, the bytes and the growth, as far as they were measured."""
    told = []
    if "cases" in found:
        told += [_cases(found), _by_part(found), _bytes(found["bytes_per_user"])]
    if "growth" in found:
        told += _growth(found["growth"])
    return told


def _cases(found: dict[str, Any]) -> Table:
    rows = []
    for told in found["cases"]:
        whole = told["whole_job"]
        rows.append(
            (
                f"{told['users']:,}",
                str(told["partitions"]),
                str(told["workers"]),
                figure(told["intake"]["us_per_event"]),
                figure(told["decide"]["us_per_event"]),
                figure(told["decide"]["redis_us_per_event"]),
                figure(told["decisions"]["us_per_event"], digits=0),
                figure(whole["us_per_event"]),
                figure(whole["events_per_cpu_second"], digits=0),
                figure(whole["events_per_second"], digits=0),
            )
        )
    whole = found["whole_job"]
    head = (
        "users",
        "part.",
        "workers",
        "intake",
        "decide",
        "Redis",
        "each",
        "whole",
        "/CPU s",
        "/s",
    )
    return Table(
        "The whole job: µs of CPU per event, worker and Redis together",
        head,
        rows,
        f"Medians of {whole['runs']} runs of {whole['records']:,.0f} raw messages; the first row's "
        f"whole was {whole['us_least']:.1f} to {whole['us_most']:.1f}. intake is per raw message; "
        "decide is per record of events while they stream, and Redis its share in it; each is one "
        "decision for somebody who is due, with its tick and commit; whole is raw message to "
        "action, all decisions included. /CPU s: messages per second of CPU, worker and Redis. "
        "/s: messages per second of wall time, one after the other.",
    )


def _by_part(found: dict[str, Any]) -> Table:
    both = found["parts"]
    rows = [
        (part, *(figure(both[hop]["us_per_event"].get(part, 0.0)) for hop in _HOPS))
        for part in parts.ORDER
        if any(part in both[hop]["us_per_event"] for hop in _HOPS)
    ]
    rows.append(("all", *(figure(sum(both[hop]["us_per_event"].values())) for hop in _HOPS)))
    samples = " and ".join(f"{both[hop]['samples']:,}" for hop in _HOPS)
    cost = max(both[hop]["sampling_share_of_cpu"] for hop in _HOPS)
    return Table(
        "Where the worker's CPU goes: µs per event by part",
        ("part", "intake hop", "decide hop"),
        rows,
        "Decisions for those who are due are in the decide hop here, per record of events. "
        f"By {samples} samples of the worker's own CPU clock, which cost {cost:.2%} of it.",
    )


def _bytes(sizes: dict[str, float]) -> Table:
    rows = [
        ("profile as packed, median", figure(sizes["packed_median"], digits=0)),
        ("profile as packed, 99th percentile", figure(sizes["packed_p99"], digits=0)),
        ("profile with its key, median", figure(sizes["profile_median"], digits=0)),
        ("profile with its key, mean", figure(sizes["profile_mean"], digits=0)),
        ("wake-up, over all users", figure(sizes["wake_up_mean"], digits=0)),
        ("all in, mean (MEMORY USAGE)", figure(sizes["all_in"], digits=0)),
        ("all in, mean (growth of used_memory)", figure(sizes.get("all_in_by_used_memory"))),
        ("beside it: addresses, of those who have some", figure(sizes["address_each"], digits=0)),
    ]
    return Table("Bytes per user in Redis", ("what", "bytes"), rows)


def _growth(growth: dict[str, Any]) -> list[Table]:
    rows = [
        (
            f"{size['users']:,}",
            figure(size["us_per_event"]),
            figure(size["worker_us_per_event"]),
            figure(size["redis_us_per_event"]),
            figure(size["bytes_per_user"], digits=0),
        )
        for size in growth["by_users"]
    ]
    quarters = growth["backlog_quarters_us_per_event"]
    head = ("users", "µs per event", "worker", "Redis", "bytes per user")
    return [
        Table("Growth: the decide hop with more users", head, rows),
        Table(
            "A back-log of one hour: µs per event of the decide hop, quarter by quarter",
            ("", "first", "second", "third", "last"),
            [("µs per event", *(figure(quarter) for quarter in quarters))],
            "Every quarter is fifteen minutes of shop time.",
        ),
    ]


__all__ = ["WholeJob", "grow", "measure", "tables"]
