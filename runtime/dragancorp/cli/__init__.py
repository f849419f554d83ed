"""The command line `dragan`: one module a noun; it speaks HTTP to a control plane through the generated client.

Modules here import at their top only what is light; a command imports what it needs when it runs, so that
`dragan --help` answers at once.
"""


def main() -> None:
    """Run the command line; ends the process with its exit code."""
    from dragancorp.cli.app import run

    run()
