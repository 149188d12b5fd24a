"""The HTTP door: what unmodified SDKs send becomes records of the raw topic."""
