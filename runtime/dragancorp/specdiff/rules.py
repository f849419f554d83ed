"""The rules that classify a change between two versions of the contracts, each with its id and whom it breaks.

Three audiences can be broken. *Producers* write documents that the contract must accept, or call the API. *Consumers*
read documents that the contract allows: answers, events, records. *Code* uses the names that are generated.

Whom a change breaks depends on the reader. A **strict** document (a command, a configuration) is received by us, so
the receiver changes first and only its producers can be broken. A **tolerant** document (an answer, an event, a
record) is also written by other implementations and read by consumers that have not changed yet.
"""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["RULES", "Audience", "Reader", "Rule", "rule"]


class Audience(StrEnum):
    """Who must change when a contract does."""

    PRODUCERS = "producers"
    CONSUMERS = "consumers"
    CODE = "code"


class Reader(StrEnum):
    """How the documents of a contract are read; the root's `x-dragan-reader`."""

    STRICT = "strict"
    TOLERANT = "tolerant"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One kind of change."""

    id: str
    """`DIF-` and a number that is never used again."""
    name: str
    """How the code here calls it."""
    title: str
    """What has happened, as a heading."""
    strict: frozenset[Audience]
    """Whom it breaks where the document is read strictly; empty: it is safe."""
    tolerant: frozenset[Audience]
    """Whom it breaks where the document is read tolerantly."""

    def breaks(self, reader: Reader) -> frozenset[Audience]:
        """Whom a change of this kind breaks."""
        return self.strict if reader is Reader.STRICT else self.tolerant


_LETTERS = {"P": Audience.PRODUCERS, "C": Audience.CONSUMERS, "K": Audience.CODE}

# number, name, title, whom it breaks: read strictly | read tolerantly (one column: the same for both)
_TABLE = """
1  | contract_removed       | a contract, or a version of one, is gone                              | PCK
2  | contract_added         | a contract, or a version of one, is new                               |
3  | address_changed        | the `$id` that documents name is another one                          | PCK
4  | reader_strict          | a tolerant reader became strict: unknown members are refused          | P
5  | reader_tolerant        | a strict reader became tolerant: unknown members may come             | C
6  | class_renamed          | the title, which is the generated class's name, is another one        | K
7  | definition_removed     | a definition is gone, and its generated class or name with it         | K
8  | definition_added       | a definition is new                                                   |
9  | words_changed          | descriptions changed, no document is judged otherwise                 |
10 | required_member_added  | a required member is new                                              | P    | P
11 | member_added           | an optional member is new                                             |
12 | member_removed         | a member is gone                                                      | PK   | CK
13 | member_renamed         | a member has another name                                             | PK   | CK
14 | member_required        | a member that could be left out is required                           | P
15 | member_optional        | a member that was always there may be left out                        |      | C
16 | object_closed          | members that were allowed beside the listed ones are refused or bound | P
17 | object_opened          | members beside the listed ones are allowed                            |      | C
18 | type_narrowed          | a type is no longer allowed                                           | P
19 | type_widened           | a further type is allowed                                             |      | C
20 | type_changed           | the type is another one                                               | PK   | PCK
21 | value_removed          | a listed value is gone                                                | PK
22 | value_added            | a listed value is new                                                 |      | C
23 | values_listed          | only listed values are allowed now                                    | P
24 | values_freed           | any value is allowed, no longer the listed ones                       |      | C
25 | bound_narrowed         | a bound is tighter                                                    | P
26 | bound_widened          | a bound is looser                                                     |      | C
27 | form_tightened         | a pattern or format is asked for                                      | P
28 | form_loosened          | a pattern or format is no longer asked for                            |      | C
29 | form_changed           | a pattern or format is another one                                    | P    | PC
30 | condition_tightened    | a condition refuses more                                              | P
31 | condition_loosened     | a condition refuses less                                              |      | C
32 | condition_changed      | a condition is another one                                            | P    | PC
33 | default_changed        | a member that is left out means something else                        | P    | C
34 | judged_narrower        | the judge knows documents that were valid and are refused             | P
35 | judged_wider           | the judge knows documents that earlier readers would refuse           |      | C
36 | said_rule_added        | a rule that no schema can say is new                                  | P
37 | said_rule_removed      | a rule that no schema can say is gone                                 |      | C
38 | data_changed           | a data file that no rule here reads is another one                    | PC
40 | error_removed          | an error code is gone                                                 | CK
41 | error_added            | an error code is new: readers that do not know it go by its status    |
42 | error_status_changed   | an error code has another HTTP status                                 | C
43 | error_retry_changed    | an error is retryable where it was not, or no longer                  | C
50 | word_removed           | a state, event, reason or other word of the life cycle is gone        | PCK
51 | outcome_added          | a state, event, reason, kind or holder is new: readers may meet it    | C
52 | command_added          | a trigger, actor or guard is new                                      |
53 | word_redefined         | a word of the life cycle means something else                         | C
54 | step_removed           | a transition is gone                                                  | PC
55 | step_added             | a transition is new: the earlier tables call such a ledger broken     | C
56 | step_narrowed          | a transition is refused where it was allowed                          | P
57 | step_widened           | a transition is allowed to more actors, triggers or with fewer guards |
58 | step_changed           | a transition leads elsewhere or leaves another event                  | C
59 | refusal_changed        | what is refused is refused with another code                          | C
60 | operation_removed      | an operation is gone                                                  | PK
61 | operation_added        | an operation is new                                                   |
62 | operation_renamed      | the operation's id, which is its method's name, is another one        | K
63 | operation_withdrawn    | an operation that was served is planned again                         | P
64 | operation_served       | a planned operation is served                                         |
65 | parameter_demanded     | a required parameter is new                                           | P
66 | parameter_added        | an optional parameter is new                                          |
67 | parameter_removed      | a parameter is gone                                                   | PK
68 | parameter_required     | a parameter that could be left out is required                        | P
69 | parameter_optional     | a parameter may be left out                                           |
70 | body_required          | a request needs a body that it did not need                           | P
71 | body_removed           | a kind of request body is no longer read                              | P
72 | response_removed       | an answer, or a kind of its body, is gone                             | C
73 | success_added          | a successful answer, or a kind of its body, is new                    | C
74 | failure_added          | an error answer is new: every error is a problem                      |
75 | header_removed         | an answer's header is gone                                            | C
76 | header_added           | an answer's header is new                                             |
77 | scope_added            | a token needs a further scope                                         | P
78 | scope_removed          | a token needs a scope less                                            |
79 | limit_lowered          | a limit is lower, or new                                              | P
80 | limit_raised           | a limit is higher, or gone                                            |
81 | level_changed          | other implementations must serve the operation                        | P
82 | planned_changed        | an operation changed that was only planned: nobody could call it      |
83 | security_removed       | a way to show a token is gone                                         | P
84 | body_optional          | a request body may be left out, or a kind of body is new              |
85 | scheme_changed         | a token is shown in another way                                       | P
86 | server_removed         | the operations no longer stand at an address                          | P
87 | parameter_written      | a parameter's value is written another way                            | P
88 | header_optional        | an answer's header may be left out                                    | C
"""


def _read(line: str) -> Rule:
    number, name, title, *columns = (cell.strip() for cell in line.split("|"))
    sets = [frozenset(_LETTERS[letter] for letter in column) for column in columns]
    return Rule(id=f"DIF-{number}", name=name, title=title, strict=sets[0], tolerant=sets[-1])


RULES: tuple[Rule, ...] = tuple(_read(line) for line in _TABLE.strip().splitlines())
"""Every rule, by number."""

_BY_NAME = {one.name: one for one in RULES}


def rule(name: str) -> Rule:
    """The rule of that name. Raises `KeyError` for one there is not."""
    return _BY_NAME[name]
