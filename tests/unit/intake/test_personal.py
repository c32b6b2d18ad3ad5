"""Personal data that have a form."""

import pytest

from headrace.errors import DataError
from headrace.intake.personal import KINDS, PersonalConfig, mask, treat


@pytest.mark.parametrize(
    ("text", "masked", "counts"),
    [
        ("Write to ann.b+x@mail.example.org, please.", "Write to [EMAIL], please.", [1, 0, 0]),
        ("Card 4111 1111 1111 1111 or 5500-0000-0000-0004.", "Card [CARD] or [CARD].", [0, 2, 0]),
        ("Amex 378282246310005!", "Amex [CARD]!", [0, 1, 0]),
        ("Call +44 20 7946 0958 or +1 (555) 010-9999.", "Call [PHONE] or [PHONE].", [0, 0, 2]),
        ("Call (555) 010-9999 or 555-010-9999.", "Call [PHONE] or [PHONE].", [0, 0, 2]),
        ("ümit@straße.example costs nothing", "ümit@straße.example costs nothing", [0, 0, 0]),
        ("jürgen@example.com", "[EMAIL]", [1, 0, 0]),
    ],
)
def test_what_has_the_form_is_masked_and_counted(text, masked, counts):
    """Test numbers of the card companies, a phone number kept for films, a domain nobody has."""
    assert mask(text) == (masked, counts)


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112 has a false check digit",
        "order 1234567890123456 begins with no card company",
        "pi is 3.14159265358979323846",
        "in 2024-05-06 10:11 it was 1,234,567 of 10-20-30",
        "a@b and @ann and ann@",
        "score 3-2, 100 200 and +5",
        "10.0.0.1 and 192.168.100.200",
    ],
)
def test_other_numbers_and_signs_stay(text):
    """A mask over dates and orders would take from the text what it is about."""
    assert mask(text) == (text, [0, 0, 0])


@pytest.mark.parametrize("piece", ["a", "1", "1 ", "+1", "a.", "a@", "4-", "(555) ", "+1 (", "@a.a.a.a.a.a.a.a.a.a"])
def test_a_text_of_a_million_signs_costs_as_many_steps(piece):
    """Expressions that begin anew at each sign would not come to an end."""
    text = piece * (1_000_000 // len(piece))

    assert len(mask(text)[0]) <= len(text) + 10


def test_masked_text_holds_nothing_to_mask():
    """Masking twice is masking once."""
    masked, _ = mask("ann@example.org, 4111 1111 1111 1111, +44 20 7946 0958")

    assert mask(masked) == (masked, [0, 0, 0])


def test_only_the_kinds_asked_for_are_looked_for():
    """Their counts have the order of KINDS, whatever that of the params."""
    config = PersonalConfig(policy="mask", kinds=["phone", "email"])

    assert list(config.columns.items()) == [("email", "personal_email"), ("phone", "personal_phone")]
    assert treat("ann@example.org 4111 1111 1111 1111", config, where="here") == ("[EMAIL] 4111 1111 1111 1111", [1, 0])
    assert list(PersonalConfig(policy="count").columns) == list(KINDS)


def test_counting_leaves_the_text_and_off_does_not_look():
    """Off is the default: existing data stay as they are."""
    text = "ann@example.org"

    assert treat(text, PersonalConfig(policy="count"), where="here") == (text, [1, 0, 0])
    assert treat(text, PersonalConfig(), where="here") == (text, [])


@pytest.mark.badinput
def test_the_failing_mode_says_where_and_not_what():
    """The message goes into logs and notices."""
    with pytest.raises(DataError) as refused:
        treat("my mail is ann@example.org", PersonalConfig(policy="fail"), where="a.csv:line 3 of source 'shop'")

    assert "a.csv:line 3 of source 'shop' holds personal data (email)" in str(refused.value)
    assert "ann" not in str(refused.value)
