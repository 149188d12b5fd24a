"""What the simulated shop sells: names in two languages, prices in CNY."""

from typing import Final, NamedTuple


class Product(NamedTuple):
    """One product; ``price`` in CNY."""

    id: str
    zh: str
    en: str
    category: str
    price: float

    def name(self, locale: str) -> str:
        """Return the name in the language of a locale."""
        return self.zh if locale.startswith("zh") else self.en


PRODUCTS: Final = (
    Product("p-001", "手冲咖啡壶", "Pour-over kettle", "kitchen", 168.0),
    Product("p-002", "陶瓷滤杯", "Ceramic dripper", "kitchen", 79.0),
    Product("p-003", "咖啡豆 500 克", "Coffee beans 500 g", "kitchen", 96.0),
    Product("p-004", "保温杯", "Thermos flask", "kitchen", 128.0),
    Product("p-005", "铸铁锅", "Cast-iron pot", "kitchen", 399.0),
    Product("p-006", "竹砧板", "Bamboo board", "kitchen", 69.0),
    Product("p-007", "亚麻衬衫", "Linen shirt", "clothes", 239.0),
    Product("p-008", "羊毛围巾", "Wool scarf", "clothes", 189.0),
    Product("p-009", "帆布包", "Canvas bag", "clothes", 119.0),
    Product("p-010", "跑步鞋", "Running shoes", "sport", 459.0),
    Product("p-011", "瑜伽垫", "Yoga mat", "sport", 139.0),
    Product("p-012", "跳绳", "Skipping rope", "sport", 39.0),
    Product("p-013", "运动水壶", "Sports bottle", "sport", 59.0),
    Product("p-014", "蓝牙耳机", "Wireless earbuds", "electronics", 329.0),
    Product("p-015", "充电宝", "Power bank", "electronics", 149.0),
    Product("p-016", "台灯", "Desk lamp", "electronics", 199.0),
    Product("p-017", "机械键盘", "Mechanical keyboard", "electronics", 489.0),
    Product("p-018", "护手霜", "Hand cream", "care", 45.0),
    Product("p-019", "洗发水", "Shampoo", "care", 58.0),
    Product("p-020", "香薰蜡烛", "Scented candle", "care", 88.0),
    Product("p-021", "儿童绘本", "Picture book", "books", 49.0),
    Product("p-022", "笔记本", "Notebook", "books", 35.0),
    Product("p-023", "钢笔", "Fountain pen", "books", 219.0),
    Product("p-024", "拼图 1000 片", "Jigsaw 1000", "books", 89.0),
)
CURRENCY: Final = "CNY"
