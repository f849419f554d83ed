"""Whole words, in any script and any way to write a letter."""

import pytest

from dragancorp.gateway.words import LOOKED_AT, WordList, normal


def found(word: str, text: str) -> bool:
    return WordList([word]).first(normal(text)) == word


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("修复", "请修复这个错误"),
        ("CODIE", "请CODIE修复"),
        ("コード", "コードを直して"),
        ("โค้ด", "ช่วยดูโค้ดให้หน่อย"),
        ("баг", "исправь баг!"),
        ("काम", "काम करो"),
        ("الكود", "افحص الكود"),
        ("CODIE", "CODIE에게 물어봐"),
        ("버그", "버그 수정"),
        ("café", "un cafe\u0301, merci"),
        ("cafe\u0301", "un café"),
        ("Straße", "die STRASSE"),
        ("CODIE", "ＣＯＤＩＥ！"),
        ("CODIE", "\u202eCODIE\u202c"),
        ("CODIE", "\u200fCODIE\u200f"),
        ("CODIE", "🚀CODIE🚀"),
        ("C++", "C++, please"),
        ("🐛", "a 🐛 again"),
    ],
)
def test_a_word_is_found(word: str, text: str) -> None:
    assert found(word, text)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("api", "capital"),
        ("баг", "багаж"),
        ("cafe", "cafe\u0301"),
        ("cafe", "café"),
        ("काम", "कामना"),
        ("काम", "कामी"),
        ("แก", "แก้"),
        ("버그", "버그를"),
        ("کد", "کد\u200cها"),
        ("api", "api_key"),
        ("api", "2api"),
        ("api", "ａｐｉｓ"),
        ("code", ""),
    ],
)
def test_a_part_of_a_word_is_not(word: str, text: str) -> None:
    assert not found(word, text)


def test_what_stands_first_is_named_as_it_was_configured_and_of_two_at_one_place_the_longer_one_that_is_whole() -> None:
    words = WordList(["Code", "code review", "API"])
    assert words.first(normal("an api for code")) == "API"
    assert words.first(normal("a CODE REVIEW")) == "code review"
    assert words.first(normal("a code reviewer")) == "Code"
    assert words.all(normal("api, code review")) == ["Code", "code review", "API"]


def test_a_text_of_five_megabytes_costs_no_more_than_the_part_that_is_looked_at() -> None:
    assert len(normal("é" * 5_000_000)) == LOOKED_AT
    assert found("CODIE", "CODIE " + "x" * 5_000_000)
    assert not found("CODIE", "x " * LOOKED_AT + "CODIE")


@pytest.mark.parametrize("text", ["🎉" * 1000, "\u200f" * 1000, "\ud800", "\x00", "\u0301", " "])
def test_a_text_without_words_means_nobody(text: str) -> None:
    assert WordList(["CODIE", "修复"]).first(normal(text)) is None
