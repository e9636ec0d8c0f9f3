"""Decides. Has no clock, process, socket, file, log or randomness of its own."""
