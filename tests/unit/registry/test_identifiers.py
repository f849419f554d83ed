"""Identifiers are unique, whoever makes them."""

import os

from dragancorp.registry.identifiers import new_id, new_trace_id


def test_a_process_that_was_forked_gives_out_ids_of_its_own() -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, (new_id("m")[-16:] + new_trace_id()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as told:
        assert told.read() != new_id("m")[-16:] + new_trace_id()


def test_ids_sort_by_the_moment_they_were_made() -> None:
    made = [new_id("m") for _ in range(100)]
    assert [one[:14] for one in made] == sorted(one[:14] for one in made)
    assert len(set(made)) == len(made)
