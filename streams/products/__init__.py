"""What a shop tells of its products: the topic ``products``, and who writes and follows it."""
