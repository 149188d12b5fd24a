"""What the observer knows of the products: a shelf, and in a sentence why nothing is on it."""

from typing import Final

from monitoring.figures.shelf import Shelf
from monitoring.figures.told import Stock
from streams.products.following import Following
from streams.products.record import Product
from streams.settings import Deployment

# Of a name; the page has no room for more, and the shelf holds many.
_NAME: Final = 80


class Stocked:
    """Keeps a shelf of what the topic of products says."""

    def __init__(self, deployment: Deployment) -> None:
        """Nothing is connected before ``following``, which is to be run, starts."""
        self._shelf = Shelf()
        self.following = Following(deployment, self)

    @property
    def shelf(self) -> Shelf | None:
        """Return the shelf once all of it was read and something is on it."""
        known = self.following.stands == "read" and len(self._shelf) > 0
        return self._shelf if known else None

    def notes(self, stock: Stock | None) -> list[str]:
        """Return what is not known of the stock, a sentence each."""
        topic = self.following.topic
        if stock is None:
            match self.following.stands:
                case "missing":
                    why = f"the topic {topic} is missing, which rekindle topics create makes"
                    return [f"Stock is not known: {why}."]
                case "reading":
                    return [f"Stock is not known yet: {topic} is being read."]
                case "read":
                    return [f"Stock is not known: {topic} holds no product."]
        found = []
        unreadable = stock.states["unreadable"]
        if unreadable:
            found.append(
                f"{unreadable} products are unknown: their last record in {topic} cannot be read, "
                "and the observer's log says why."
            )
        if stock.left_out:
            found.append(f"{stock.left_out} products are left out: there are more than are kept.")
        return found

    # --- as keeper --------------------------------------------------------------------------------

    def tell(self, product: Product) -> None:
        """Take the last word on a product."""
        self._shelf.tell(product.product_id, product.stock, (product.name or "")[:_NAME])

    def cannot_read(self, product_id: str) -> None:
        """Take a product for unknown."""
        self._shelf.cannot_read(product_id)

    def forget(self, product_id: str) -> None:
        """Take a product off the shelf."""
        self._shelf.forget(product_id)

    def forget_all(self) -> None:
        """Begin anew."""
        self._shelf = Shelf()


__all__ = ["Stocked"]
