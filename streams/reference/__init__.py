"""The reference pages under docs/, written from the code that they are about."""
