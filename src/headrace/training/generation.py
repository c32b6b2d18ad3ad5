"""Text from a language model, one token after the other."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from headrace.errors import DataError, ParamsError
from headrace.params import Section
from headrace.storage.manifest import NAME as MANIFEST_NAME
from headrace.storage.manifest import verify
from headrace.tasks.language_modeling import FIRST, START, detokenize, tokenize
from headrace.training.candidate import load_candidate


class Sampling(Section):
    """How the next token is drawn."""

    max_tokens: int = Field(default=200, ge=1, le=1_000_000)
    temperature: float = Field(default=0.8, ge=0, le=100)
    """Scores are divided by it: below 1 the likely becomes likelier; 0 takes the likeliest token always."""
    top_k: int | None = Field(default=None, ge=1)
    """Only so many of the likeliest tokens are drawn from; null: all."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Only the likeliest tokens that have this share of the probability together are drawn from."""
    seed: int = Field(default=17, ge=0)
    stop: list[str] = Field(default=[])
    """Text that ends the answer, and is no part of it."""


def load_generator(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Network and encoding of a package (checked against its manifest) or of a model folder.

    Raises:
        DataError: damaged, or the model of another task.
    """
    if (folder / MANIFEST_NAME).exists():
        verify(folder)
    program, info = load_candidate(folder)
    encoding = info.description.get("encoding", {})
    if "windows" not in encoding:
        raise DataError(f"{folder} holds a model of task {info.task}, which writes no text. Give one of task language_modeling.")
    network: Any = program.network
    return network, dict(encoding)


def generate(
    network: nn.Module, encoding: Mapping[str, Any], prompt: str, sampling: Sampling, *, use_cache: bool = True
) -> Iterator[str]:
    """What follows the prompt, in pieces, as soon as each is certain: a stop string, or half a character, is never given.

    When the network's context is full it goes on with the later half of it, so that a long text takes no more time a token than a
    short one. With and without cache the tokens are the same; a network without `extend` needs `use_cache=False`.

    Args:
        network: tokens to scores of the token after each, in evaluation mode.
        encoding: of the model.
        prompt: text to go on with; '' for a beginning.
        sampling: how tokens are drawn.
        use_cache: keep keys and values of the tokens so far.

    Raises:
        ParamsError: a stop string is empty.
    """
    if "" in sampling.stop:
        raise ParamsError("a stop string is empty, which every text holds. Leave it out.")
    drawn: list[int] = []
    given = 0
    for token in _tokens(network, encoding, prompt, sampling, use_cache=use_cache):
        drawn.append(token)
        text = detokenize(drawn, encoding)
        ends = [place for stop in sampling.stop if (place := text.find(stop)) >= 0]
        if ends:
            if min(ends) > given:
                yield text[given : min(ends)]
            return
        certain = _certain(text, sampling.stop)
        if certain > given:
            yield text[given:certain]
            given = certain
    text = detokenize(drawn, encoding)
    if len(text) > given:
        yield text[given:]


def _certain(text: str, stops: Sequence[str]) -> int:
    """Characters that no later token can take back: not half a character, nor what may be the beginning of a stop string."""
    end = len(text)
    while end and text[end - 1] == "\ufffd":
        end -= 1
    for stop in stops:
        for length in range(min(len(stop) - 1, len(text)), 0, -1):
            if text.endswith(stop[:length]):
                end = min(end, len(text) - length)
                break
    return end


def _tokens(network: Any, encoding: Mapping[str, Any], prompt: str, sampling: Sampling, *, use_cache: bool) -> Iterator[int]:
    context = int(encoding["shape"][0])
    random = torch.Generator().manual_seed(sampling.seed)
    window = [START, *tokenize(prompt, encoding).tolist()]
    window = window[-context:] if len(window) <= context else window[-max(1, context // 2) :]
    fresh, cache = window, None
    for _ in range(sampling.max_tokens):
        with torch.inference_mode():
            if use_cache:
                scores, cache = network.extend(torch.tensor([fresh]), cache)
            else:
                scores = network(torch.tensor([window]))
        token = draw(scores[0, -1], sampling, random)
        yield token
        window = [*window, token]
        fresh = [token]
        if len(window) > context:
            window = window[-max(1, context // 2) :]
            fresh, cache = window, None


def draw(scores: Tensor, sampling: Sampling, random: torch.Generator) -> int:
    """One token, by its scores (V,); those that stand for no text are never drawn."""
    values = scores.to(torch.float64)[FIRST:]
    if sampling.temperature == 0:
        return int(values.argmax()) + FIRST
    ranked, order = (values / sampling.temperature).sort(descending=True, stable=True)
    shares = torch.softmax(ranked[: sampling.top_k], dim=0)
    before = shares.cumsum(0) - shares
    kept = shares[before < sampling.top_p]  # the first one always is: nothing comes before it
    place = torch.rand(1, generator=random, dtype=torch.float64) * kept.sum()
    return int(order[min(int(torch.searchsorted(kept.cumsum(0), place, right=True)), len(kept) - 1)]) + FIRST


def longest_overlap(sample: str, texts: Sequence[str]) -> str:
    """The longest stretch of a sample that stands in one of the texts, word for word; the first of equals."""
    whole = "\0".join(texts)
    best, found = 0, ""
    for start in range(len(sample)):
        while (
            start + best < len(sample)
            and "\0" not in sample[start : start + best + 1]
            and sample[start : start + best + 1] in whole
        ):
            best += 1
            found = sample[start : start + best]
    return found
