import pytest

from dragancorp.executors.allow_list import AllowList

LIST = AllowList(["git", "python3 -m pytest", "make test", "npm run build:*", "sh -c 'echo hi'", "ls [a]"])


@pytest.mark.parametrize(
    "command",
    [
        ["git"],
        ["git", "apply", "-"],
        ["python3", "-m", "pytest", "-q"],
        ["make", "test"],
        ["npm", "run", "build:web"],
        ["sh", "-c", "echo hi"],
        ["ls", "[a]"],
    ],
)
def test_a_command_that_begins_with_an_entry_is_allowed(command: list[str]) -> None:
    assert LIST.allows(command)


@pytest.mark.parametrize(
    "command",
    [
        ["/usr/bin/git", "apply"],
        ["gitk"],
        ["python3"],
        ["python3", "-m", "pytestify"],
        ["python3", "-m", "http.server"],
        ["make", "tests"],
        ["npm", "run"],
        ["sh", "-c", "echo hi; rm -r x"],
        ["ls", "a"],
        [""],
    ],
)
def test_any_other_command_is_not(command: list[str]) -> None:
    assert not LIST.allows(command)


def test_the_program_is_never_a_pattern() -> None:
    assert not AllowList(["*"]).allows(["rm"])
    assert not AllowList([]).allows(["rm"])


def test_an_entry_whose_quotes_do_not_close_is_an_error() -> None:
    with pytest.raises(ValueError, match="quotation"):
        AllowList(["sh -c 'oops"])
