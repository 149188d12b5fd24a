"""The trial: the product's decisions against other strategies, in simulated worlds only."""
