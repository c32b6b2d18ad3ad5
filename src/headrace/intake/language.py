"""The language of a text, by a library that brings its model with it and asks no network."""

from functools import lru_cache
from typing import Any

from pydantic import Field, field_validator

from headrace.errors import ParamsError
from headrace.params import Section

UNDETERMINED = "und"
"""ISO 639's code of a text whose language is not known."""

READ_CHARACTERS = 10_000
"""A longer text is judged by its beginning."""


class LanguageConfig(Section):
    """Whether a language is measured, and how."""

    measure: bool = False
    """A column `language` with the code (ISO 639) of each text, for the suite and the report; `und` where it is not sure."""
    among: tuple[str, ...] = ()
    """Codes to choose between, such as [de, en, fr]: of few, short texts are told apart better. Empty: all that the model knows."""
    min_confidence: float = Field(default=0.5, ge=0, lt=1)
    """Probability below which a text is `und`: one word has no language."""

    @field_validator("among")
    @classmethod
    def _is_a_choice(cls, among: tuple[str, ...]) -> tuple[str, ...]:
        if len({*among}) == 1:
            raise ValueError(
                f"every text would be {among[0]}. Name those it may be mistaken for, too, or none: all are then compared"
            )
        return among


def language_of(text: str, config: LanguageConfig) -> str:
    """The code of a text's language, or `und`.

    Raises:
        ParamsError: `among` has a code that the model does not know.
    """
    code, confidence = _identifier(config.among).classify(text[:READ_CHARACTERS])
    return str(code) if confidence >= config.min_confidence and any(sign.isalpha() for sign in text) else UNDETERMINED


@lru_cache(maxsize=4)
def _identifier(among: tuple[str, ...]) -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    found = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    if unknown := sorted({*among} - {*found.labels}):
        raise ParamsError(
            f"collect.record.language.among has '{unknown[0]}', which is no code of the model. It knows {', '.join(sorted(found.labels))}."
        )
    if among:
        found.set_languages(among)
    return found
