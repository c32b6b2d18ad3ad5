"""Networks that read texts."""

import pytest
import torch
from torch import nn

from headrace.errors import ParamsError
from headrace.training.network import build_network

SMALL = {"transformer": {"width": 16, "heads": 2}, "lstm": {"width": 8, "hidden": 8}}


def network(name: str, **options) -> nn.Module:
    torch.manual_seed(0)
    return build_network(name, {**SMALL[name], **options}, input_shape=(12, 30), num_classes=3)[0]


@pytest.mark.parametrize("name", SMALL)
def test_scores_of_a_text_do_not_depend_on_what_stands_beside_it(name):
    """A batch is cut to its longest text while training; a short text must score the same in any company."""
    net = network(name, dropout=0.0).train()
    short = torch.tensor([[4, 5, 6, *[0] * 9]])
    both = torch.cat([short, torch.arange(2, 14)[None]])

    alone, beside = net(short), net(both)[:1]

    torch.testing.assert_close(alone, beside)
    torch.testing.assert_close(net.eval()(short), alone)  # and as in a package, where every text has the full length


@pytest.mark.parametrize("name", SMALL)
def test_first_weights_follow_the_seed(name):
    """Equal seeds, equal networks."""
    one, other = network(name).state_dict(), network(name).state_dict()

    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", SMALL)
def test_every_weight_learns(name):
    """A part that no gradient reaches is dead weight in every package."""
    net = network(name)
    net(torch.randint(2, 30, (4, 12))).square().sum().backward()

    assert [key for key, weight in net.named_parameters() if weight.grad is None or not weight.grad.abs().sum()] == []


def test_the_lstm_reads_a_text_from_its_end_too():
    """The first token's output of the second LSTM has seen the last token, and no output has seen padding."""
    net = network("lstm", dropout=0.0).eval()
    seen = []
    net.back.register_forward_hook(lambda _module, inputs, _outputs: seen.append(inputs[0]))
    net(torch.tensor([[4, 5, 6, 0, 0]]))

    torch.testing.assert_close(seen[0], net.tokens(torch.tensor([[6, 5, 4, 0, 0]])))


@pytest.mark.parametrize("name", SMALL)
def test_tokens_are_hidden_while_training_only(name):
    """A network that hides tokens in an answer would answer by chance."""
    net = network(name, dropout=0.0, token_dropout=0.5)
    x = torch.randint(2, 30, (4, 12))

    assert not torch.equal(net(x), net(x))
    assert torch.equal(net.eval()(x), net(x))


@pytest.mark.badinput
@pytest.mark.parametrize("name", SMALL)
def test_pictures_are_refused(name):
    """The message says what it reads."""
    with pytest.raises(ParamsError, match="it reads texts"):
        build_network(name, {}, input_shape=(8, 8, 1), num_classes=3)


@pytest.mark.badinput
def test_heads_must_divide_the_width():
    """Said by the key, before anything is built."""
    with pytest.raises(ParamsError, match="heads 3 does not divide width 64"):
        build_network("transformer", {"heads": 3}, input_shape=(12, 30), num_classes=3)
