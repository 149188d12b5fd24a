"""The business figures of a shop, folded from its topics in closed windows of one minute. Pure."""
