"""From a decision to a person: the words, and the gateways that carry them."""
