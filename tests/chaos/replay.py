"""The ledger's own replay, as the oracle uses it."""

from collections.abc import Sequence

from dragancorp.missions.ledger import Reader, verify_store


async def replay(reader: Reader) -> Sequence[tuple[str, str]]:
    """(what it is about, what is wrong) for everything that the replay of all ledgers finds."""
    report = await verify_store(reader)
    return [
        (f"{finding.subject} {finding.id}", f"entry {finding.sequence}: {finding.rule.value}: {finding.detail}")
        for finding in report.findings
    ]
