"""Finding whole words in any script: "capital" does not contain "api", and neither does "cafés" contain "café".

Two letters belong to one word unless something separates them. Three things make that more than a look at letters and
digits: marks (vowel signs, accents written apart) belong to the letter before them; scripts that write no spaces
(Chinese, Japanese, Thai and their kin) have no boundary to look for, so a word of theirs is found wherever it stands;
Hangul attaches its particles to foreign words ("CODIE에게"), so a change of script there is a boundary.
"""

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable

LOOKED_AT = 100_000  # characters of a text; a word that comes later addresses nobody, and 5 MB cost no more than this

# Scripts without spaces between words; first and last code of each, in order.
UNSPACED = (
    *(0x0E00, 0x0EFF, 0x0F00, 0x0FFF, 0x1000, 0x109F, 0x1780, 0x17FF),  # Thai and Lao, Tibetan, Myanmar, Khmer
    *(0x2E80, 0x2FDF, 0x3005, 0x3007, 0x3041, 0x30FF, 0x31F0, 0x31FF),  # radicals, Han signs, kana and its extensions
    *(0x3400, 0x4DBF, 0x4E00, 0x9FFF, 0xF900, 0xFAFF, 0x20000, 0x3FFFF),  # Han and its extensions
)
HANGUL = (0x1100, 0x11FF, 0x3130, 0x318F, 0xA960, 0xA97F, 0xAC00, 0xD7FF)
JOINERS = "\u200c\u200d"
# What only steers the direction of writing: it separates nothing and is no part of a word.
DIRECTIONS = dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF])


def normal(text: str) -> str:
    """The form in which words are compared, of what is looked at: one way to write each letter, and no case."""
    text = text[:LOOKED_AT]
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKC", text.translate(DIRECTIONS)).casefold()
    return unicodedata.normalize("NFC", plain)


class WordList:
    """Words and phrases to look for, as they were configured."""

    def __init__(self, words: Iterable[str]) -> None:
        configured: dict[str, str] = {}
        for word in words:
            configured.setdefault(normal(word), word)
        configured.pop("", None)
        self._configured = configured

    def first(self, text: str) -> str | None:
        """The word that stands first in a `normal` text; of several at one place the longest."""
        found = [(at, -len(word), word) for word in self._configured if (at := _find(text, word)) is not None]
        return self._configured[min(found)[2]] if found else None

    def all(self, text: str) -> list[str]:
        """The words that stand in a `normal` text, as configured and in that order."""
        return [word for plain, word in self._configured.items() if _find(text, plain) is not None]


def _find(text: str, word: str) -> int | None:
    """Where the word stands as a whole one for the first time."""
    at = text.find(word)
    while at >= 0:
        end = at + len(word)
        opens = at == 0 or not _joined(text[at - 1], word[0])
        if opens and (end == len(text) or not _joined(word[-1], text[end])):
            return at
        at = text.find(word, at + 1)
    return None


def _joined(left: str, right: str) -> bool:
    """Whether two neighbours belong to one word."""
    if unicodedata.category(right)[0] == "M":
        return _in_word(left)
    if not (_in_word(left) and _in_word(right)) or _within(left, UNSPACED) or _within(right, UNSPACED):
        return False
    return left in JOINERS or right in JOINERS or _within(left, HANGUL) == _within(right, HANGUL)


def _in_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_" or letter in JOINERS or unicodedata.category(letter)[0] == "M"


def _within(letter: str, ranges: tuple[int, ...]) -> bool:
    code = ord(letter)
    place = bisect_right(ranges, code)
    return place % 2 == 1 or (place > 0 and ranges[place - 1] == code)
