"""What an operator may do on the page: hold back and let go, judge an anomaly, look up a person.

All of it needs the operator's token in a header, and a body of JSON: no other site's page can make
a browser send either.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

import msgspec
from aiohttp import web
from msgspec import Struct

from engine.controls import LONGEST, operator
from engine.errors import Refused, Unavailable
from engine.times import MINUTE, iso
from monitoring.page.schema import Snapshot
from streams import acting
from streams.live.look_up import LookUp
from streams.live.routes import HEADERS, error
from streams.live.token import Gate
from streams.log.producer import Producer, Record
from streams.log.topics import ANOMALIES
from streams.observing import messages
from streams.settings import Deployment

# Bytes a request may have: a reason and a name.
_BODY: Final = 16 * 1024
_NO_STORE: Final = {"Cache-Control": "no-store"}


class Control(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``target``: channel:sms or campaign:cart; ``minutes`` until it ends by itself.

    ``share``: of a channel's messages that may still go, for throttle. ``name``: who acts.
    """

    action: Literal["pause", "resume", "throttle"]
    target: str
    reason: str
    name: str = "page"
    share: float | None = None
    minutes: float | None = None


class Verdict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator says of an open episode: true, false, or expected from now on."""

    anomaly_id: str
    verdict: Literal["true", "false", "expected"]
    note: str = ""
    name: str = "page"


class Person(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom support asks about."""

    user_id: str


class OperatorRoutes:
    """The routes behind the token."""

    def __init__(
        self,
        deployment: Deployment,
        gate: Gate,
        look_up: LookUp,
        page: Callable[[], Awaitable[Snapshot]],
        producer: Producer,
        key: Callable[[], bytes],
        wall: Callable[[], int],
    ) -> None:
        """``page`` knows the open episodes; ``key`` of pseudonyms; ``wall``: ms."""
        self._deployment = deployment
        self._gate = gate
        self._look_up = look_up
        self._page = page
        self._producer = producer
        self._key = key
        self._wall = wall

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post("/live/control", self._guarded(Control, self._control)),
            web.post("/live/verdict", self._guarded(Verdict, self._verdict)),
            web.post("/live/user", self._guarded(Person, self._person)),
        ]

    def _guarded(
        self, kind: type[Any], answer: Callable[[Any], Awaitable[Any]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Return a handler that looks at the token first, then at the body, then acts."""

        async def handle(request: web.Request) -> web.Response:
            refusal = self._gate.refusal(request)
            if refusal is not None:
                return refusal
            if request.content_type != "application/json":
                return error(415, "not_json", "send the body as application/json.")
            try:
                asked = msgspec.json.decode(await _body(request), type=kind)
                said = await answer(asked)
            except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
                return error(400, "bad_request", f"the body cannot be used: {wrong}.")
            except Refused as refused:
                return error(422, "refused", str(refused))
            except Unavailable as away:
                return error(503, "unavailable", str(away))
            return web.Response(
                body=msgspec.json.encode(said),
                headers=HEADERS | _NO_STORE,
                content_type="application/json",
            )

        return handle

    async def _control(self, asked: Control) -> dict[str, Any]:
        if not asked.reason.strip():
            raise Refused("Say why: whoever looks at it next must know.")
        if asked.action == "throttle" and asked.share is None:
            raise Refused("Say which share of the messages may still go: share, from 0.1 to 1.")
        if ":" not in asked.target:
            message = f"{asked.target!r} names nothing: write channel:sms or campaign:cart."
            raise Refused(message)
        if asked.minutes is not None and not 0 < asked.minutes <= _LONGEST_MINUTES:
            message = f"minutes is how long it holds: more than 0, at most {_LONGEST_MINUTES}."
            raise Refused(message)
        wish = acting.Wish(
            asked.action,
            asked.target,
            asked.name,
            asked.reason,
            1.0 if asked.share is None else asked.share,
            None if asked.minutes is None else round(asked.minutes * MINUTE),
        )
        done = await acting.carry_out(self._deployment, wish)
        return {"ok": True, "sentence": acting.sentence(done), **acting.as_told(done)}

    async def _verdict(self, asked: Verdict) -> dict[str, Any]:
        page = await self._page()
        known = [*page.anomalies.open, *page.anomalies.closed]
        found = next((each for each in known if each.get("anomaly_id") == asked.anomaly_id), None)
        if found is None:
            raise Refused("The observer tells of no such episode; look at the page again.")
        at = self._wall()
        message = messages.VerdictMessage(
            message_id=f"{asked.anomaly_id}-verdict-{at}",
            anomaly_id=asked.anomaly_id,
            kpi=str(found["kpi"]),
            dimension=found["dimension"],
            verdict=asked.verdict,
            by=operator(asked.name),
            at=iso(at),
            note=asked.note[:LONGEST],
        )
        record = Record(messages.key(message.kpi, message.dimension), messages.encode(message))
        await self._producer.run(self._deployment.topic_prefix + ANOMALIES, 0, [record])
        return {"ok": True, "sentence": f"{message.kpi}: {_SAID[asked.verdict]}"}

    async def _person(self, asked: Person) -> Any:
        return await self._look_up.about(asked.user_id, self._key())


_LONGEST_MINUTES: Final = 60 * 24 * 31
_SAID: Final = {
    "true": "noted as a fault.",
    "false": "noted as no fault.",
    "expected": "noted as expected.",
}


async def _body(request: web.Request) -> bytes:
    if request.content_length is not None and request.content_length > _BODY:
        raise Refused(f"A request may have {_BODY} bytes.")
    chunks, size = [], 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > _BODY:
            raise Refused(f"A request may have {_BODY} bytes.")
        chunks.append(chunk)
    return b"".join(chunks)


__all__ = ["Control", "OperatorRoutes", "Person", "Verdict"]
