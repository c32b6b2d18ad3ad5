"""A GPT looks back only, with and without a cache."""

import pytest
import torch

from headrace.errors import ParamsError
from headrace.training.network import build_network

OPTIONS = {"width": 16, "blocks": 2, "heads": 2}


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(3)
    built, _ = build_network("gpt", OPTIONS, input_shape=(12, 20), num_classes=0)
    for weight in built.parameters():  # the last layers of a block begin as zeros: then nothing would be attended to
        torch.nn.init.normal_(weight, std=0.3)
    return built.eval()


def test_a_token_never_sees_those_after_it(network):
    """Else it would be told what it has to guess."""
    x = torch.randint(0, 20, (2, 12))
    changed = x.clone()
    changed[:, 7:] = 1

    torch.testing.assert_close(network(x)[:, :7], network(changed)[:, :7])


def test_scores_depend_on_the_order_of_what_came_before(network):
    """Positions are seen."""
    x = torch.tensor([[4, 5, 6, 7]])

    assert not torch.allclose(network(x)[:, -1], network(x[:, [1, 0, 2, 3]])[:, -1], atol=1e-4)


def test_token_by_token_with_a_cache_is_all_at_once(network):
    """Generation is quick without being another model."""
    x = torch.randint(0, 20, (2, 12))
    scores, cache = network.extend(x[:, :5], None)
    found = [scores]
    for place in range(5, 12):
        scores, cache = network.extend(x[:, place : place + 1], cache)
        found.append(scores)

    torch.testing.assert_close(torch.cat(found, dim=1), network(x))


def test_tokens_and_scores_share_their_table(network):
    """Tied weights: a vocabulary is paid for once."""
    sizes = [tuple(weight.shape) for weight in network.parameters()]

    assert sizes.count((20, 16)) == 1


def test_heads_must_divide_the_width_into_even_parts():
    """Said before anything is trained."""
    with pytest.raises(ParamsError, match="does not divide width 18 into even parts"):
        build_network("gpt", {"width": 18, "heads": 6}, input_shape=(12, 20), num_classes=0)
