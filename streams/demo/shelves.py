"""The simulated shop tells what is left of its products whenever it changes, as a real one does."""

from typing import Final

from streams.demo.goods import CURRENCY, PRODUCTS, Stock
from streams.log.producer import Producer, Record
from streams.log.topics import PRODUCTS as TOPIC
from streams.log.topics import partition_of
from streams.products.record import Product, encode
from streams.settings import Deployment

_UNTOLD: Final = -1


class Shelves:
    """Publishes to the topic of products; nobody in the simulated shop waits for it."""

    def __init__(self, deployment: Deployment, stock: Stock, producer: Producer) -> None:
        """``stock`` knows what is left at any time."""
        self._topic = deployment.topic_prefix + TOPIC
        self._stock = stock
        self._producer = producer
        self._told = {product.id: _UNTOLD for product in PRODUCTS}

    def changed(self, now: int) -> list[Product]:
        """Return the products of which another number is left at ``now`` (ms) than was told."""
        found = []
        for product in PRODUCTS:
            left = self._stock.left(product.id, now)
            if left != self._told[product.id]:
                self._told[product.id] = left
                found.append(
                    Product(
                        product_id=product.id,
                        stock=left,
                        price=product.price,
                        currency=CURRENCY,
                        category=product.category,
                        name=product.zh,
                    )
                )
        return found

    async def tell(self, now: int) -> None:
        """Publish what has changed by ``now`` (ms); raises Unavailable."""
        changed = self.changed(now)
        count = await self._producer.partitions(self._topic) if changed else 0
        runs: dict[int, list[Record]] = {}
        for product in changed:
            key = product.product_id.encode()
            runs.setdefault(partition_of(key, count), []).append(Record(key, encode(product)))
        for partition, run in runs.items():
            await self._producer.run(self._topic, partition, run)


__all__ = ["Shelves"]
