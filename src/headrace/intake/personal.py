"""Personal data in texts that have a form: e-mail addresses, phone numbers, numbers of payment cards. Names and places have none."""

import re
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from headrace.errors import DataError
from headrace.params import Section

Kind = Literal["email", "card", "phone"]

KINDS: tuple[Kind, ...] = ("email", "card", "phone")
"""In the order they are looked for: a card is masked before its digits can be taken for a phone."""

# Each begins where no like sign stands before, and repeats a bounded number of times: a text of a million signs costs as many steps.
_PATTERNS = {
    "email": re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,8}\.[A-Za-z]{2,24}\b"),
    "card": re.compile(r"(?<![\d.-])[2-6](?:[ -]?\d){12,18}(?![\d-])"),
    "phone": re.compile(
        r"(?<![\w+])\+\d{1,3}(?:[ ./-]?\(?\d{1,5}\)?){2,7}(?!\w)|(?<![\w.-])(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?![\w-])"
    ),
}

_PHONE_DIGITS = range(8, 16)


class PersonalConfig(Section):
    """What is done about personal data that have a form."""

    policy: Literal["off", "count", "mask", "fail"] = "off"
    """off: nobody looks; count: columns personal_email, personal_card and personal_phone say how many a text has, for the report and the
    suite; mask: they are counted, and [EMAIL], [CARD], [PHONE] stand in their place; fail: the first one stops the stage."""
    kinds: list[Kind] = Field(default_factory=lambda: list(KINDS), min_length=1)
    """email; card: 13 to 19 digits with a true check digit (Luhn); phone: with + and country code, or the North American form."""

    @property
    def columns(self) -> dict[str, str]:
        """The columns that count, by kind in the order of KINDS; none when nobody looks."""
        return {} if self.policy == "off" else {kind: f"personal_{kind}" for kind in KINDS if kind in self.kinds}


def mask(text: str, kinds: Sequence[str] = KINDS) -> tuple[str, list[int]]:
    """The text with [EMAIL], [CARD] and [PHONE] in place of personal data, and how many there were of each kind, in the order of KINDS."""
    counts = []
    for kind in KINDS:
        if kind not in kinds:
            continue
        found = 0

        def masked(match: re.Match[str], kind: str = kind) -> str:
            nonlocal found
            if not _is_one(kind, match[0]):
                return match[0]
            found += 1
            return f"[{kind.upper()}]"

        text = _PATTERNS[kind].sub(masked, text)
        counts.append(found)
    return text, counts


def treat(text: str, config: PersonalConfig, *, where: str) -> tuple[str, list[int]]:
    """A text as the policy leaves it, and the counts for `config.columns`.

    Raises:
        DataError: the policy is fail and there is one; says where, never what.
    """
    if config.policy == "off":
        return text, []
    masked, counts = mask(text, config.kinds)
    if config.policy == "fail" and any(counts):
        kinds = " and ".join(kind for kind, count in zip(config.columns, counts, strict=True) if count)
        raise DataError(
            f"{where} holds personal data ({kinds}), and collect.record.personal.policy is fail. Mend the source, or set mask or count."
        )
    return (masked if config.policy == "mask" else text), counts


def _is_one(kind: str, text: str) -> bool:
    digits = [int(sign) for sign in text if sign in "0123456789"]
    if kind == "card":
        return _luhn(digits)
    return kind != "phone" or len(digits) in _PHONE_DIGITS


def _luhn(digits: Sequence[int]) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1)."""
    doubled = (2 * digit - 9 * (digit > 4) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
