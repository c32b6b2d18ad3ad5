"""What a language model writes: the same with and without cache, and never a stop string or half a character."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.running_text import paragraphs

from headrace.errors import ParamsError
from headrace.params import parse_section
from headrace.tasks import language_modeling as task
from headrace.training.generation import Sampling, _certain, draw, generate, longest_overlap
from headrace.training.network import build_network

TEXTS = np.array(paragraphs(60), dtype=object)


def model(tokenizer: str = "characters", *, context: int = 16) -> tuple[torch.nn.Module, dict]:
    encoding = task.fit_encoding([TEXTS], tokenizer=tokenizer, context=context, vocabulary=300, min_count=1)
    torch.manual_seed(5)
    network, _ = build_network("gpt", {"width": 16, "blocks": 2, "heads": 2}, input_shape=encoding["shape"], num_classes=0)
    for weight in network.parameters():  # random, but not without attention
        torch.nn.init.normal_(weight, std=0.4)
    return network.eval(), encoding


def written(
    network: torch.nn.Module, encoding: dict, prompt: str = "the king ", *, use_cache: bool = True, **options: object
) -> str:
    sampling = parse_section(options, "generate", Sampling, where="test")
    return "".join(generate(network, encoding, prompt, sampling, use_cache=use_cache))


@pytest.mark.parametrize("tokenizer", ["characters", "bpe"])
@pytest.mark.parametrize(
    "options",
    [{"temperature": 0}, {}, {"top_k": 5}, {"top_p": 0.7}, {"temperature": 1.5, "seed": 3}],
    ids=["greedy", "plain", "top-k", "top-p", "hot"],
)
def test_with_a_cache_the_same_is_written(tokenizer, options):
    """Token for token, also long after the context is full."""
    network, encoding = model(tokenizer)
    quick = written(network, encoding, max_tokens=60, **options)

    assert quick == written(network, encoding, max_tokens=60, use_cache=False, **options)


def test_a_prompt_longer_than_the_context_is_read_from_its_end():
    """Any prompt has an answer."""
    network, encoding = model()
    prompt = "of this old town " * 50

    assert written(network, encoding, prompt, max_tokens=30) == written(network, encoding, prompt, max_tokens=30, use_cache=False)


def test_the_seed_decides():
    """The same seed writes the same, another one something else."""
    network, encoding = model()
    one, again, other = (written(network, encoding, seed=seed) for seed in (1, 1, 2))

    assert one == again != other


def test_pieces_come_one_by_one():
    """A reader need not wait for the end."""
    network, encoding = model()
    stream = generate(network, encoding, "", Sampling(max_tokens=100_000))

    assert [len(next(stream)) for _ in range(3)] == [1, 1, 1]


def test_text_ends_before_a_stop_string():
    """Of which no part is given, also where it takes several tokens."""
    network, encoding = model()
    whole = written(network, encoding, max_tokens=80)
    stop = whole[40:43]

    assert written(network, encoding, max_tokens=80, stop=["not there", stop]) == whole[: whole.index(stop)]


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(alphabet="ab", max_size=10),
    rest=st.text(alphabet="ab", max_size=6),
    stop=st.text(alphabet="ab", min_size=1, max_size=4),
)
def test_nothing_is_given_that_has_to_be_taken_back(text, rest, stop):
    """Whatever comes after: a stop string may be complete only then. What cannot be the beginning of one is not held back."""
    text = text.partition(stop)[0]  # a complete one ends the stream before anything is given
    given, held = text[: _certain(text, [stop])], text[_certain(text, [stop]) :]

    assert (text + rest).partition(stop)[0].startswith(given)
    assert stop.startswith(held)


def test_half_a_character_waits_for_the_rest():
    """Bytes of one character come as several tokens."""
    assert _certain("caf\ufffd", []) == 3


def test_only_the_likeliest_are_drawn_from():
    """top-k by number, top-p by share, and never what stands for no text."""
    scores = torch.log(torch.tensor([9.0, 9.0, 9.0, 0.5, 0.3, 0.15, 0.05]))
    random = torch.Generator().manual_seed(0)
    by_number = {draw(scores, Sampling(temperature=1, top_k=2), random) for _ in range(200)}
    by_share = {draw(scores, Sampling(temperature=1, top_p=0.79), random) for _ in range(200)}
    everything = {draw(scores, Sampling(temperature=1), random) for _ in range(500)}

    assert (by_number, by_share, everything) == ({3, 4}, {3, 4}, {3, 4, 5, 6})


def test_draws_follow_the_scores():
    """In the long run as often as the model says."""
    scores = torch.log(torch.tensor([1.0, 1.0, 1.0, 0.6, 0.3, 0.1]))
    random = torch.Generator().manual_seed(1)
    counts = np.bincount([draw(scores, Sampling(temperature=1), random) for _ in range(4000)], minlength=6)[3:]

    np.testing.assert_allclose(counts / 4000, [0.6, 0.3, 0.1], atol=0.03)


def test_the_longest_copy_is_found():
    """A model that recites its training text must be seen to do so; a copy does not go from one text into the next."""
    assert longest_overlap("xx the old kin yy", ["see the old king", "a town"]) == " the old kin"
    assert longest_overlap("kingto", ["king", "town"]) == "king"


@pytest.mark.badinput
def test_an_empty_stop_string_is_refused():
    """It stands before every text."""
    network, encoding = model()

    with pytest.raises(ParamsError, match="a stop string is empty"):
        written(network, encoding, stop=[""])
