"""Products over HTTP: a shop without a Kafka producer posts them to any worker.

Behind the operator's token, unlike events: what says that all is sold out stops messages, and the
door of events stands open to every browser.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from aiohttp import web

from engine.errors import InvalidEvent, Refused, Unavailable
from streams.http.bodies import BadRequest, read_object
from streams.log import topics
from streams.log.producer import Producer, Record
from streams.products import record as records
from streams.products.record import Product
from streams.settings import Deployment
from streams.sources.reasons import Notes

PATH: Final = "/v1/products"
# As the door of events says it: long enough for a restart.
_RETRY: Final = 20


class Gate(Protocol):
    """Who may come in; see :class:`streams.live.token.Gate`."""

    def refusal(self, request: web.Request) -> web.Response | None:
        """Return why a request is not let through; None = it is."""
        ...


class ProductRoutes:
    """``POST /v1/products`` tells products, ``DELETE /v1/products/<id>`` that one is gone."""

    def __init__(self, deployment: Deployment, producer: Producer, gate: Gate) -> None:
        """Write to the topic of this deployment."""
        self._deployment = deployment
        self._producer = producer
        self._gate = gate
        self._topic = deployment.topic_prefix + topics.PRODUCTS
        self._there = False

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post(PATH, self._guarded(self._told)),
            web.delete(PATH + "/{product_id:.+}", self._guarded(self._gone)),
        ]

    def _guarded(
        self, handle: Callable[[web.Request], Awaitable[dict[str, Any]]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Return a handler that looks at the token first, then acts, and says what went wrong."""

        async def guarded(request: web.Request) -> web.Response:
            refusal = self._gate.refusal(request)
            if refusal is not None:
                return refusal
            try:
                return web.json_response(await handle(request))
            except BadRequest as wrong:
                return _error(wrong.status, wrong.code, str(wrong))
            except InvalidEvent as wrong:
                return _error(400, wrong.reason, str(wrong))
            except Refused as refused:
                return _error(409, "no_topic", str(refused))
            except Unavailable:
                message = "products cannot be stored at the moment; send this again"
                answer = _error(503, "unavailable", message)
                answer.headers["Retry-After"] = str(_RETRY)
                return answer

        return guarded

    async def _told(self, request: web.Request) -> dict[str, Any]:
        body = await read_object(request, Notes())
        products = _products(body)
        await self._publish([(one.product_id, records.encode(one)) for one in products])
        return {"success": True, "products": len(products)}

    async def _gone(self, request: web.Request) -> dict[str, Any]:
        await self._publish([(request.match_info["product_id"], None)])
        return {"success": True}

    async def _publish(self, told: list[tuple[str, bytes | None]]) -> None:
        """Append records, each product's in order; raises Refused and Unavailable."""
        await self._check_topic()
        count = await self._producer.partitions(self._topic)
        runs: dict[int, list[Record]] = {}
        for product_id, value in told:
            key = product_id.encode()
            runs.setdefault(topics.partition_of(key, count), []).append(Record(key, value))
        for partition, run in runs.items():
            await self._producer.run(self._topic, partition, run)

    async def _check_topic(self) -> None:
        """Refuse before the producer waits for a topic that nobody creates."""
        if self._there:
            return
        counts = await topics.there(self._deployment, [self._topic])
        if not counts[self._topic]:
            message = f"The topic {self._topic} is missing: run rekindle topics create."
            raise Refused(message)
        self._there = True


def _products(body: dict[str, Any]) -> list[Product]:
    """Return the products of a body; raises InvalidEvent, and then none of them is stored."""
    if "products" not in body:
        return [records.converted(body)]
    told = body["products"]
    if type(told) is not list or not told:
        raise InvalidEvent("no_products", "several products stand in the list `products`")
    found = []
    for place, one in enumerate(told):
        try:
            found.append(records.converted(one))
        except InvalidEvent as wrong:
            message = f"products[{place}]: {wrong}; none of them was stored"
            raise InvalidEvent(wrong.reason, message) from wrong
    return found


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"code": code, "message": message}, status=status)


__all__ = ["PATH", "ProductRoutes"]
