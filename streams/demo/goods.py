"""What the simulated shop sells: names in two languages, prices in CNY, and when it is in stock."""

from typing import Final, NamedTuple

from engine.times import DAY, HOUR
from streams.demo.chance import Chance


class Product(NamedTuple):
    """One product; ``price`` in CNY, ``lasts`` = days until it is used up, 0 = it is not."""

    id: str
    zh: str
    en: str
    category: str
    price: float
    lasts: int = 0

    def name(self, locale: str) -> str:
        """Return the name in the language of a locale."""
        return self.zh if locale.startswith("zh") else self.en


PRODUCTS: Final = (
    Product("p-001", "手冲咖啡壶", "Pour-over kettle", "kitchen", 168.0),
    Product("p-002", "陶瓷滤杯", "Ceramic dripper", "kitchen", 79.0),
    Product("p-003", "保温杯", "Thermos flask", "kitchen", 128.0),
    Product("p-004", "铸铁锅", "Cast-iron pot", "kitchen", 399.0),
    Product("p-005", "竹砧板", "Bamboo board", "kitchen", 69.0),
    Product("p-006", "咖啡豆 500 克", "Coffee beans 500 g", "pantry", 96.0, 18),
    Product("p-007", "龙井茶 250 克", "Longjing tea 250 g", "pantry", 158.0, 32),
    Product("p-008", "混合坚果 1 千克", "Mixed nuts 1 kg", "pantry", 118.0, 14),
    Product("p-009", "橄榄油 1 升", "Olive oil 1 l", "pantry", 109.0, 35),
    Product("p-010", "亚麻衬衫", "Linen shirt", "clothes", 239.0),
    Product("p-011", "羊毛围巾", "Wool scarf", "clothes", 189.0),
    Product("p-012", "帆布包", "Canvas bag", "clothes", 119.0),
    Product("p-013", "羽绒服", "Down jacket", "clothes", 699.0),
    Product("p-014", "棉袜五双", "Cotton socks, five pairs", "clothes", 59.0),
    Product("p-015", "跑步鞋", "Running shoes", "sport", 459.0),
    Product("p-016", "瑜伽垫", "Yoga mat", "sport", 139.0),
    Product("p-017", "跳绳", "Skipping rope", "sport", 39.0),
    Product("p-018", "运动水壶", "Sports bottle", "sport", 59.0),
    Product("p-019", "蛋白粉 1 千克", "Protein powder 1 kg", "sport", 219.0, 28),
    Product("p-020", "蓝牙耳机", "Wireless earbuds", "electronics", 329.0),
    Product("p-021", "充电宝", "Power bank", "electronics", 149.0),
    Product("p-022", "台灯", "Desk lamp", "electronics", 199.0),
    Product("p-023", "机械键盘", "Mechanical keyboard", "electronics", 489.0),
    Product("p-024", "护手霜", "Hand cream", "care", 45.0, 24),
    Product("p-025", "洗发水", "Shampoo", "care", 58.0, 30),
    Product("p-026", "面膜十片", "Face masks, ten", "care", 99.0, 12),
    Product("p-027", "香薰蜡烛", "Scented candle", "care", 88.0),
    Product("p-028", "儿童绘本", "Picture book", "books", 49.0),
    Product("p-029", "笔记本", "Notebook", "books", 35.0),
    Product("p-030", "钢笔", "Fountain pen", "books", 219.0),
    Product("p-031", "拼图 1000 片", "Jigsaw 1000", "books", 89.0),
    Product("p-032", "猫粮 2 千克", "Cat food 2 kg", "pets", 138.0, 25),
    Product("p-033", "猫砂 10 升", "Cat litter 10 l", "pets", 49.0, 12),
    Product("p-034", "狗零食", "Dog treats", "pets", 36.0, 10),
    Product("p-035", "宠物窝", "Pet bed", "pets", 169.0),
)
CURRENCY: Final = "CNY"
BY_ID: Final = {product.id: product for product in PRODUCTS}
CATEGORIES: Final = tuple(dict.fromkeys(product.category for product in PRODUCTS))
IN_CATEGORY: Final = {
    category: tuple(p for p in PRODUCTS if p.category == category) for category in CATEGORIES
}

Lines = tuple[tuple[str, int], ...]
"""Product ids and quantities."""

# Of the periods of twelve days, how many have a day on which a product runs out, and how long.
_PERIOD: Final = 12 * DAY
_RUNS_OUT: Final = 0.1
_SHORTEST: Final = 10.0
_LONGEST: Final = 90.0
# Pieces of a full shelf, and ms until one is taken from one that runs out.
_FULL: Final = 60
_A_PIECE: Final = 2 * HOUR


class Stock:
    """Which products are there at what time.

    They run out and come back by themselves, whoever buys: if one shopper's order could take
    another's goods, a message to the one would change what the other does, and no message would
    have an effect of its own.
    """

    def __init__(self, chance: Chance) -> None:
        """``chance`` draws the gaps."""
        self._chance = chance
        self._gaps: dict[tuple[str, int], tuple[int, int]] = {}

    def has(self, product_id: str, at: int) -> bool:
        """Return whether it can be bought at ``at`` (ms)."""
        began, ended = self._gap(product_id, at // _PERIOD)
        return not began <= at < ended

    def left(self, product_id: str, at: int) -> int:
        """Return how many pieces are left at ``at`` (ms): it says so before it runs out."""
        if not self.has(product_id, at):
            return 0
        gaps = [self._gap(product_id, at // _PERIOD + ahead) for ahead in (0, 1)]
        until = min((began - at for began, _ in gaps if began > at), default=_PERIOD)
        return min(_FULL, -(-until // _A_PIECE))

    def there(self, lines: Lines, at: int) -> Lines:
        """Return those of the lines that can be bought at ``at`` (ms)."""
        return tuple(line for line in lines if self.has(line[0], at))

    def _gap(self, product_id: str, period: int) -> tuple[int, int]:
        key = product_id, period
        if key not in self._gaps:
            self._gaps[key] = self._drawn(f"{product_id}@{period}", period * _PERIOD)
        return self._gaps[key]

    def _drawn(self, key: str, start: int) -> tuple[int, int]:
        if self._chance.lot("runs-out", key) >= _RUNS_OUT:
            return 0, 0
        length = int(self._chance.between(_SHORTEST, _LONGEST, "out-for", key) * HOUR)
        began = start + int(self._chance.lot("out-from", key) * (_PERIOD - length))
        return began, began + length


def worth(lines: Lines) -> float:
    """Return what these lines cost in CNY."""
    return sum(BY_ID[product].price * count for product, count in lines)


__all__ = [
    "BY_ID",
    "CATEGORIES",
    "CURRENCY",
    "IN_CATEGORY",
    "PRODUCTS",
    "Lines",
    "Product",
    "Stock",
    "worth",
]
