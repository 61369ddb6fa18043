"""``segparity migrate``: losses and metrics of one world, read from a source that is never executed, written for the other."""
