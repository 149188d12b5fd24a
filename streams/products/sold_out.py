"""What a worker keeps of the products: the ids of those that are known to be sold out."""

from collections.abc import Collection

import faust

from streams.products.following import Following
from streams.products.record import Product
from streams.settings import Deployment


class SoldOut(faust.Service):
    """Asked by every hand-over; knows nothing where the topic is missing."""

    def __init__(self, deployment: Deployment) -> None:
        """Nothing is connected before it starts."""
        super().__init__()
        self._ids: set[str] = set()
        self._following = Following(deployment, self)

    def on_init_dependencies(self) -> list[faust.Service]:
        """Return what reads."""
        return [self._following]

    async def all_of(self, product_ids: Collection[str]) -> bool:
        """Return whether there are some and each is known to be sold out.

        Waits until the topic was read to its end once; raises Unavailable where that takes long.
        """
        await self._following.settled()
        return bool(product_ids) and self._ids.issuperset(product_ids)

    # --- as keeper --------------------------------------------------------------------------------

    def tell(self, product: Product) -> None:
        """Note whether it is sold out."""
        if product.sold_out:
            self._ids.add(product.product_id)
        else:
            self._ids.discard(product.product_id)

    def cannot_read(self, product_id: str) -> None:
        """Take nothing for sold out that cannot be read."""
        self._ids.discard(product_id)

    def forget(self, product_id: str) -> None:
        """Take a product that is gone for unknown."""
        self._ids.discard(product_id)

    def forget_all(self) -> None:
        """Begin anew."""
        self._ids.clear()


__all__ = ["SoldOut"]
