"""New identifiers: they sort by the moment they were made and are safe as file names and in addresses."""

import os
import random
import secrets
import time

RANDOM_BITS = 64  # beside the millisecond: a clash needs about four billion ids in one millisecond
TRACE_BITS = 128
SEED_BITS = 256

# Unique, not secret: seeded by the system once a process. Asking the system for each id would let go of the
# interpreter's lock each time, and under load getting it back costs more than the whole rest of a dispatch.
_numbers = random.Random(secrets.randbits(SEED_BITS))  # noqa: S311
# A server that forks its workers after the import would otherwise have them all give out the same ids.
os.register_at_fork(after_in_child=lambda: _numbers.seed(secrets.randbits(SEED_BITS)))


def new_id(prefix: str) -> str:
    """`prefix_`, 12 hex digits of Unix milliseconds, 16 random hex digits."""
    milliseconds = time.time_ns() // 1_000_000
    return f"{prefix}_{milliseconds:012x}{_numbers.getrandbits(RANDOM_BITS):016x}"


def new_trace_id() -> str:
    """A W3C trace id: 32 hex digits, never all zero."""
    return f"{_numbers.getrandbits(TRACE_BITS) or 1:032x}"
