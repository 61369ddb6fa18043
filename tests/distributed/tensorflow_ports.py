"""Ports for servers of TensorFlow on this machine."""

import socket


def free_port():
    """One that nobody listens on at this moment."""
    with socket.socket() as s:
        s.bind(('localhost', 0))
        return s.getsockname()[1]
