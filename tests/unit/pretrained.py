"""Tiny folders of the library transformers, with random weights, as `save_pretrained` writes them."""

import json
import string
from pathlib import Path
from typing import Any

import torch
from tests.unit.texts import sentences

from headrace.sources.initial import bring_initial, look
from headrace.sources.places import Places

TEXT_SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
    "vocab_size": 200,
}


def save_texts(folder: Path, *, kind: str = "Bert", **config: Any) -> Path:
    """An encoder of texts with a tokenizer for the sentences of tests/unit/texts.py; its [PAD] is no 0."""
    sizes = TEXT_SIZES | config
    if kind == "DistilBert":
        names = {
            "hidden_size": "dim",
            "num_hidden_layers": "n_layers",
            "num_attention_heads": "n_heads",
            "intermediate_size": "hidden_dim",
        }
        sizes = {names.get(name, name): value for name, value in sizes.items()}
    _save(folder, kind, sizes | {"pad_token_id": 1})
    write_tokenizer(folder)
    return folder


def write_tokenizer(folder: Path, *, vocabulary: int = 150) -> None:
    """Words, and letters for others, between two marks; cut and padded as such files often ask for, which nobody here reads.

    Listed, not learnt: the library breaks ties as its hashes fall, and the file is to be the same in every process.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    letters = string.ascii_lowercase + string.digits + ",.-'"
    words = sorted({word.strip(",.") for text, _ in sentences(64) for word in text.split()} - set(letters))
    words = [word for word in words if word.isalpha()]
    tokens = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", *words, *letters, *(f"##{letter}" for letter in letters)]
    tokens += [f"[unused{number}]" for number in range(vocabulary - len(tokens))]
    assert len(tokens) == vocabulary
    tokenizer = Tokenizer(models.WordPiece({token: number for number, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(tokens[:4])
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=128)
    tokenizer.save(str(folder / "tokenizer.json"))


def save_pictures(folder: Path, kind: str, *, size: int = 16, channels: int = 3) -> Path:
    """A ResNet or a ViT, with what its pictures are to look like."""
    sizes = {
        "ResNet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "bottleneck"},
        "ViT": {**TEXT_SIZES, "image_size": size, "patch_size": 4},
    }[kind]
    sizes = {name: value for name, value in sizes.items() if name not in {"max_position_embeddings", "vocab_size"}}
    _save(folder, kind, sizes | {"num_channels": channels})
    sizes_of = {"ResNet": {"shortest_edge": size}, "ViT": {"height": size, "width": size}}[kind]
    preprocessor = {
        "do_resize": True,
        "size": sizes_of,
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5] * channels,
        "image_std": [0.25] * channels,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


def _save(folder: Path, kind: str, config: dict[str, Any]) -> None:
    import transformers

    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(5)
    model = getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**config))
    model.save_pretrained(folder)


def bring(project: Path, init_from: str) -> Path:
    """models/initial, as `collect` writes it from a folder of the project."""
    places = Places(project=project, downloads=project / "downloads")
    bring_initial(look(init_from, places), places, project / "initial")
    return project / "initial"
