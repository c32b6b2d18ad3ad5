"""The body of a network of the library `transformers` under a new head: tokens of texts or pictures in, class scores out.

The body is built from what its config.json says, by classes of the installed library that stand in a list here: no code of a folder is
run, and its weights come by `train.init_from`. What is exported needs the library no more.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from headrace.errors import EngineError, ParamsError
from headrace.params import Section, did_you_mean

TEXTS = {
    "bert": "Bert",
    "distilbert": "DistilBert",
    "electra": "Electra",
    "mpnet": "MPNet",
    "roberta": "Roberta",
    "xlm-roberta": "XLMRoberta",
}
"""`model_type` of config.json, and how the library's classes begin."""

PICTURES = {"resnet": "ResNet", "vit": "ViT"}

_POOLED = {"bert", "mpnet", "roberta", "xlm-roberta", "vit"}
"""Bodies with a pooler, which a head of ours has no use for."""

_COUNTED_FROM_PADDING = {"mpnet", "roberta", "xlm-roberta"}
"""Their first position is the one after the padding's number."""

BODY = "body"
"""Of the network's tensors, what the names of those of the folder begin with."""


class Options(Section):
    """`train.network_options` of network pretrained."""

    config: dict[str, Any] = Field(default={})
    """What config.json says of the body; the trainer `pretrained` takes it from the folder."""
    pooling: Literal["mean", "first"] = "mean"
    """Texts: the mean over the tokens, or the first one, which some encoders were trained to end in. Pictures have their own."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of the numbers before the head that are set to zero while training."""
    size: list[int] | None = Field(default=None, min_length=2, max_length=2)
    """Height and width in pixels that pictures are resized to, in the network; null: what preprocessor_config.json says."""
    interpolation: Literal["nearest", "bilinear", "bicubic"] | None = None
    """Null: what preprocessor_config.json says."""


def build(options: Options, *, input_shape: Sequence[int], num_classes: int) -> nn.Module:
    """Body and head: numbers of tokens, int64 (B, L) with 0 for none, or pictures (B, C, H, W), to scores (B, K).

    Args:
        options: with the config of the body.
        input_shape: tokens of a text and size of the vocabulary, or height, width, channels.
        num_classes: number of scores.
    """
    config, model = library_classes(options.config)
    kind = options.config["model_type"]
    if (kind in TEXTS) != (len(input_shape) == 2):
        reads = "texts" if kind in TEXTS else "pictures"
        raise ValueError(f"a {kind} reads {reads}, not records of shape {tuple(input_shape)}")
    described = config.from_dict(dict(options.config))
    if kind in TEXTS:
        _check_texts(kind, described, *input_shape)
        return TextClassifier(_body(kind, model, described), options, num_classes)
    if input_shape[2] != described.num_channels:
        raise ValueError(
            f"it was trained on pictures of {described.num_channels} channels, these have {input_shape[2]}; set collect.record.channels"
        )
    return PictureClassifier(_body(kind, model, described), options, (input_shape[0], input_shape[1]), num_classes)


def library_classes(config: Mapping[str, Any]) -> tuple[Any, Any]:
    """The library's classes of configuration and model for a config.json.

    Raises:
        ParamsError: nothing is described, or an architecture that is not in the lists.
        EngineError: the library is not installed.
    """
    kind = config.get("model_type")
    known = TEXTS | PICTURES
    if not config:
        raise ParamsError(
            "train.network pretrained is built from the config.json of a transformers folder, and there is none: set train.trainer to "
            "pretrained and train.init_from to the folder."
        )
    if not isinstance(kind, str) or kind not in known:
        raise ParamsError(
            f"train.init_from: config.json says model_type {kind!r}, which is not read here: texts {', '.join(TEXTS)}; pictures "
            f"{', '.join(PICTURES)}.{did_you_mean(str(kind), known)} Code that a folder brings is never run."
        )
    try:
        import transformers
    except ImportError:
        raise EngineError(
            "train.network pretrained needs the library transformers, which is not installed: pip install 'headrace[pretrained]', and add "
            "its line to requirements.lock."
        ) from None
    return getattr(transformers, f"{known[kind]}Config"), getattr(transformers, f"{known[kind]}Model")


def without_pooler(kind: str) -> dict[str, bool]:
    """Arguments of the library's model that leave out what is not used."""
    return {"add_pooling_layer": False} if kind in _POOLED else {}


def _body(kind: str, model: Any, config: Any) -> nn.Module:
    body: nn.Module = model(config, **without_pooler(kind))
    return body.to(torch.float32)


def _check_texts(kind: str, config: Any, max_tokens: int, vocabulary: int) -> None:
    positions = config.max_position_embeddings
    if kind in _COUNTED_FROM_PADDING:
        positions -= config.pad_token_id + 1
    if max_tokens > positions:
        raise ValueError(f"it knows {positions} positions, train.encoding.max_tokens is {max_tokens}")
    if vocabulary - 1 > config.vocab_size:
        raise ValueError(f"tokenizer.json has {vocabulary - 1} tokens, config.json a vocab_size of {config.vocab_size}")


class TextClassifier(nn.Module):
    """See `build`. Numbers of tokens are those of tokenizer.json and one more: 0 is no token, whatever the folder pads with."""

    def __init__(self, body: nn.Module, options: Options, num_classes: int) -> None:
        super().__init__()
        self.body = body
        self.pooling, self.padding = options.pooling, int(body.config.pad_token_id or 0)  # type: ignore[union-attr, arg-type]
        self.dropout = nn.Dropout(options.dropout)
        self.head = nn.Linear(int(body.config.hidden_size), num_classes)  # type: ignore[union-attr, arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Scores (B, K)."""
        if self.training:
            x = x[:, : max(1, int((x != 0).sum(dim=1).max()))]  # no batch is longer than its longest text
        seen = x != 0  # (B, L)
        tokens = torch.where(seen, x - 1, self.padding)
        h = self.body(input_ids=tokens, attention_mask=seen.to(torch.int64)).last_hidden_state  # (B, L, width)
        if self.pooling == "first":
            pooled = h[:, 0]
        else:
            weight = seen.unsqueeze(2).to(h.dtype)
            pooled = (h * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
        scores: Tensor = self.head(self.dropout(pooled))
        return scores


class PictureClassifier(nn.Module):
    """See `build`. The whole picture is resized; resizing and `normalise` before it may change places, because both are linear."""

    def __init__(self, body: nn.Module, options: Options, taken: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        self.body = body
        self.size = None if options.size is None else (options.size[0], options.size[1])
        self.interpolation = options.interpolation or "bilinear"
        config: Any = body.config
        self.is_grid = not hasattr(config, "hidden_size")
        self.other_size = not self.is_grid and (self.size or taken) != (config.image_size, config.image_size)
        self.dropout = nn.Dropout(options.dropout)
        self.head = nn.Linear(config.hidden_sizes[-1] if self.is_grid else config.hidden_size, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (B, K)."""
        if self.size is not None and x.shape[2:] != self.size:
            smooth = self.interpolation != "nearest"
            x = functional.interpolate(x, size=self.size, mode=self.interpolation, antialias=smooth)
        if self.is_grid:
            pooled = self.body(pixel_values=x).last_hidden_state.mean(dim=(2, 3))  # of (B, width, h, w)
        else:
            places = {"interpolate_pos_encoding": True} if self.other_size else {}
            pooled = self.body(pixel_values=x, **places).last_hidden_state[:, 0]  # the first of (B, patches + 1, width)
        scores: Tensor = self.head(self.dropout(pooled))
        return scores
