"""Turn titles into addresses."""


def slug(title: str) -> str:
    """`Hello, World` -> `hello-world`."""
    words = "".join(letter if letter.isalnum() else " " for letter in title).split(" ")
    return "-".join(words).lower()
