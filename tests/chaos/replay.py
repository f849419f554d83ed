"""The ledger's own replay, as the oracle uses it."""

from collections.abc import Sequence

from dragancorp.registry.port import Store


async def replay(store: Store) -> Sequence[tuple[str, str]]:
    """(what it is about, what is wrong) for everything that the replay of all ledgers finds."""
    return ()


def replay_at(url: str) -> Sequence[tuple[str, str]]:
    """The same, of a database that nobody has open."""
    return ()
