"""New identifiers: they sort by the moment they were made and are safe as file names and in addresses."""

import secrets
import time

RANDOM_BYTES = 8  # 64 bits beside the millisecond: a clash needs about four billion ids in one millisecond


def new_id(prefix: str) -> str:
    """`prefix_`, 12 hex digits of Unix milliseconds, 16 random hex digits."""
    milliseconds = time.time_ns() // 1_000_000
    return f"{prefix}_{milliseconds:012x}{secrets.token_hex(RANDOM_BYTES)}"
