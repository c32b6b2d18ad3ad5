"""Section `train` of params.yaml, typed without torch: a model of another kind must not be fitted again for a new torch."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from headrace.params import Section
from headrace.training.schedule import ScheduleConfig

PrecisionName = Literal["fp32", "bf16", "fp16"]


class OptimizerConfig(Section):
    """How gradients move the weights."""

    name: Literal["adamw", "sgd"] = "adamw"
    """adamw, or sgd with Nesterov momentum."""
    peak_lr: float = Field(default=1e-2, gt=0, le=100)
    """Largest learning rate of the schedule, per optimizer step."""
    weight_decay: float = Field(default=0.02, ge=0)
    """Shrinkage per step relative to the learning rate, of matrices and kernels; biases and norms are never decayed."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """adamw: memory of the gradient's mean. sgd: momentum."""
    beta2: float = Field(default=0.999, ge=0, lt=1)
    """adamw: memory of the gradient's square."""
    bias_lr_factor: float = Field(default=1.0, gt=0)
    """Learning rate of biases and norms, as a multiple of the rate."""

    @model_validator(mode="after")
    def _sgd_has_momentum(self) -> Self:
        if self.name == "sgd" and self.beta1 == 0:
            raise ValueError("sgd runs with Nesterov momentum: beta1 must be above 0")
        return self


class FitConfig(Section):
    """One training, from first to last step."""

    epochs: int = Field(default=10, ge=1)
    """Passes over the training data; the schedule is stretched over all of them."""
    batch_size: int = Field(default=256, ge=1)
    """Samples of one optimizer step, whatever the device or the number of processes."""
    micro_batch: int | None = Field(default=None, ge=1)
    """Samples that go through the network at once, where a whole batch does not fit in memory; a divisor of batch_size."""
    bucket_by_length: bool = False
    """Texts of like length come in one batch, so that little of it is filled up; which ones, and in which order, is drawn by the seed."""
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target spread evenly over all classes."""
    precision: PrecisionName = "fp32"
    """Number format of forward and backward pass; `headrace doctor` tells what is fast on this machine."""
    channels_last: bool = True
    """Memory layout of convolutions: faster on CPUs and tensor cores, another rounding."""
    compile: bool = False
    """Compile the network with torch.compile: pays off after minutes of training."""
    max_grad_norm: float | None = Field(default=None, gt=0)
    """Gradients are scaled down to this norm; null: never."""
    ema_decay: float = Field(default=0.0, ge=0, lt=1)
    """Weight of the past, per step, in the average of weights that becomes the model; 0: the last weights are."""
    keep: Literal["last", "best"] = "last"
    """Weights after the last epoch, or of the epoch with the best validation accuracy; of numbers, with the least validation loss."""
    patience: int = Field(default=0, ge=0)
    """Stop after so many epochs without a better one by the same measure; 0: never."""

    @model_validator(mode="after")
    def _micro_batches_fill_a_batch(self) -> Self:
        if self.micro_batch is not None and self.batch_size % self.micro_batch:
            raise ValueError(f"micro_batch {self.micro_batch} does not divide batch_size {self.batch_size}")
        return self


class BackboneConfig(Section):
    """How weights that were taken over are treated; those of the classes are new and are trained from the first step."""

    frozen_epochs: int = Field(default=0, ge=0)
    """Epochs, from the first, in which they stay as they came; as many as `epochs`: they always do."""
    lr_factor: float = Field(default=1.0, gt=0)
    """Their learning rate afterwards, as a multiple of the rate of the others."""


class TrainConfig(FitConfig):
    """The whole section; a trainer reads what it needs."""

    trainer: str = "network"
    """What is trained, and how: a module of headrace/trainers, or `module:function` of your own. `network`: what `network` names, by our
    loop. The others are scikit-learn models, which read `seed`, `trainer_options`, `encoding` and `calibrate`."""
    trainer_options: dict[str, Any] = Field(default={})
    """Options of that trainer; `network` has none."""

    seed: int = Field(default=17, ge=0)
    """Decides first weights, order, augmentation and dropout."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of one operation. A small network gains nothing from a second one, and with one its weights are the same bits on
    machines of any size; null: the machine's setting, all its cores."""
    network: str = "small_cnn"
    """Module of headrace/networks, or `module:function` of your own."""
    network_options: dict[str, Any] = Field(default={})
    """Options of that network."""
    init_from: str | None = None
    """Weights to start from: models:/NAME@champion, models:/NAME/3, hf://owner/name@revision, a .safetensors file, or a folder with
    model.safetensors, relative to the project. data/sources.lock pins what that is: `headrace sources refresh`. Null: first weights
    are drawn by the seed."""
    backbone: BackboneConfig = BackboneConfig()
    """Says nothing without `init_from`."""
    loss: str | None = None
    """A loss of headrace/training/losses.py or `module:function`; null: the task's own."""
    encoding: dict[str, Any] = Field(default={})
    """How records become numbers, where the task learns that from the training split; texts: `max_tokens`, `vocabulary` and so on."""
    augmentation: dict[str, Any] = Field(default={})
    """Random changes to every batch, made on the device, as headrace/augmentation/<task>.py types them."""
    prediction: dict[str, Any] = Field(default={})
    """How the program around the network answers; images: `flip` and `shift`."""
    calibrate: bool = False
    """Measure on the validation split the temperature that makes the probabilities mean what they say; accuracy stays."""
    refit: bool = False
    """Train on the validation split too; nothing is selected by it then, and no prediction for it is written."""

    @model_validator(mode="after")
    def _frozen_epochs_are_epochs(self) -> Self:
        if self.backbone.frozen_epochs > self.epochs:
            raise ValueError(f"backbone.frozen_epochs is {self.backbone.frozen_epochs}, and there are {self.epochs} epochs")
        return self
