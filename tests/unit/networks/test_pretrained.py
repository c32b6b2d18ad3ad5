"""Bodies of the library transformers under a head of ours, against the library itself."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.pretrained import TEXT_SIZES, save_pictures, save_texts
from torch import nn

from headrace.errors import ParamsError
from headrace.networks.pretrained import TEXTS
from headrace.training.export import as_function, export_program, largest_difference
from headrace.training.network import build_network
from headrace.training.program import open_program


def built(folder: Path, shape: tuple[int, ...], **options: Any) -> nn.Module:
    config = json.loads((folder / "config.json").read_text())
    torch.manual_seed(0)
    return build_network("pretrained", {"config": config, "dropout": 0.0, **options}, input_shape=shape, num_classes=3)[0].eval()


def numbers() -> torch.Tensor:
    """A long and a short text, 0 for none."""
    found = torch.randint(5, 151, (2, 12), generator=torch.Generator().manual_seed(1))
    found[1, 4:] = 0
    return found


@pytest.mark.parametrize("kind", TEXTS.values())
def test_the_mean_over_tokens_is_the_librarys(tmp_path, kind):
    """Asked for one text, its own number of padding and a mask, as its pages say: in a batch and padded otherwise it is the same."""
    folder = save_texts(tmp_path / "folder", kind=kind)
    net = built(folder, (12, 151))
    seen = []
    net.dropout.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    with torch.inference_mode():
        net(numbers())
        alone = net.body(input_ids=numbers()[1:, :4] - 1, attention_mask=torch.ones(1, 4, dtype=torch.int64)).last_hidden_state

    torch.testing.assert_close(seen[0][1], alone.mean(dim=1)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["Bert", "Roberta"])
def test_scores_while_training_do_not_depend_on_the_cut(tmp_path, kind):
    """A batch is cut to its longest text; Roberta counts positions from the padding's number."""
    net = built(save_texts(tmp_path / "folder", kind=kind, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0), (12, 151))
    with torch.inference_mode():
        torch.testing.assert_close(net.train()(numbers()[1:]), net.eval()(numbers())[1:], rtol=1e-4, atol=1e-5)


def test_the_first_token_can_be_the_answer(tmp_path):
    """Some encoders were trained to end in it."""
    folder = save_texts(tmp_path / "folder")
    net = built(folder, (12, 151), pooling="first")
    with torch.inference_mode():
        hidden = net.body(input_ids=(numbers() - 1).clamp(min=0), attention_mask=(numbers() != 0).long()).last_hidden_state
        torch.testing.assert_close(net(numbers())[:1], net.head(hidden[:1, 0]))


@pytest.mark.parametrize("kind", ["ResNet", "ViT"])
def test_pictures_are_seen_as_the_librarys_classifier_sees_them(tmp_path, kind):
    """Resized in the network; the head's input is what the library's own classifier has at that place."""
    import transformers

    folder = save_pictures(tmp_path / "folder", kind)
    net = built(folder, (8, 8, 3), size=[16, 16], interpolation="bilinear")
    classifier = getattr(transformers, f"{kind}ForImageClassification")(net.body.config).eval()
    getattr(classifier, kind.lower()).load_state_dict(net.body.state_dict())
    inner = classifier.classifier[-1] if kind == "ResNet" else classifier.classifier
    seen = []
    inner.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    net.dropout.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        classifier(pixel_values=nn.functional.interpolate(x, size=(16, 16), mode="bilinear", antialias=True))
        net(x)

    torch.testing.assert_close(seen[0], seen[1])


@pytest.mark.parametrize("size", [None, [12, 16]])
def test_a_vit_reads_pictures_of_another_size(tmp_path, size):
    """Its positions are interpolated; a smaller picture is a quarter of the work."""
    folder = save_pictures(tmp_path / "folder", "ViT")
    net = built(folder, (12, 20, 3), size=size)

    assert net(torch.rand(2, 3, 12, 20)).shape == (2, 3)


@pytest.mark.parametrize("kind", [*TEXTS.values(), "ResNet", "ViT"])
def test_what_is_exported_gives_the_same(tmp_path, kind):
    """The package is served without the library, so nothing of it may be left in the program."""
    if kind in TEXTS.values():
        net, records = built(save_texts(tmp_path / "folder", kind=kind), (12, 151)), numbers().repeat(3, 1)
    else:
        net = built(save_pictures(tmp_path / "folder", kind), (8, 8, 3), size=[12, 12])
        records = torch.rand(6, 3, 8, 8)
    content = export_program(net, records[:2], name=kind)

    assert largest_difference(as_function(open_program(content, name=kind)), net, records) < 1e-5


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ((12, 202), r"tokenizer\.json has 201 tokens, config\.json a vocab_size of 200"),
        ((41, 151), "it knows 40 positions"),
        ((8, 8, 3), "a bert reads texts, not records of shape"),
    ],
)
def test_records_that_do_not_fit_are_named(tmp_path, shape, told):
    folder = save_texts(tmp_path / "folder")
    with pytest.raises(ParamsError, match=told):
        built(folder, shape)


@pytest.mark.badinput
def test_without_a_config_nothing_is_built():
    with pytest.raises(ParamsError, match=r"set train\.trainer to pretrained"):
        build_network("pretrained", {}, input_shape=(12, 151), num_classes=2)


def test_positions_of_roberta_begin_behind_its_padding(tmp_path):
    """514 in the file are 512 tokens of a text."""
    folder = save_texts(tmp_path / "folder", kind="Roberta")
    positions = TEXT_SIZES["max_position_embeddings"]
    with pytest.raises(ParamsError, match=f"it knows {positions - 2} positions"):
        built(folder, (positions - 1, 151))
