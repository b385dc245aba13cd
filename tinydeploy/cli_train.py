"""The command line's part on training: what commands take to train networks, and how they read it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tinydeploy.cli_zoo import chosen_options

if TYPE_CHECKING:
    from tinydeploy.job import Job
    from tinydeploy.method import Method

_Command = TypeVar("_Command", bound=Callable[..., Any])

_NETWORK = (
    click.option("--arch", default="mobilenet_v1", show_default=True, help="The network to train."),
    click.option("--alpha", type=float, help="Width multiplier, above 0 and up to 1; the architecture's own if left."),
    click.option("--input-size", help="Pixels, such as 48, or height by width, such as 49x10."),
    click.option("--channels", type=int, help="1 for grey, 3 for RGB; the data's own when left out."),
)
_DATA = (
    click.option("--dataset", help="digits (the default), cifar10 or fashion_mnist."),
    click.option(
        "--data", type=click.Path(path_type=Path), help="Class folders of images, an archive of them, or an .npz."
    ),
    click.option("--skip-corrupt", is_flag=True, help="Leave files out that are no readable images, and list them."),
    click.option("--seed", default=0, show_default=True, help="Seed of everything random in training."),
)
_METHOD = (
    click.option("--epochs", type=int, help="Passes over the training data; the dataset's own number when left out."),
    click.option("--learning-rate", type=float, help="Peak of the cosine schedule."),
    click.option("--batch-size", type=int, help="Images per step."),
    click.option("--weight-decay", type=float, help="On the kernels of convolutions and dense layers."),
    click.option("--label-smoothing", type=float, help="Share of certainty that targets spread over all classes."),
    click.option("--dropout", type=float, help="Share dropped before the classifier."),
    click.option("--crop", type=float, help="Random shifts of up to this share of the image."),
    click.option("--flip/--no-flip", default=None, help="Mirror every other image."),
    click.option("--cutout", type=float, help="Side of a square hidden in each image, in image widths."),
    click.option("--mixup", type=float, help="Blend pairs of images by shares from Beta(x, x)."),
    click.option("--patience", type=int, help="Stop after so many epochs without better validation; keep the best."),
    click.option("--teacher", help="Distill from a network: ARCH/ALPHA (trained first) or a .keras file."),
    click.option("--teacher-weight", type=float, help="What the teacher's opinion counts, 0 to 1."),
    click.option("--temperature", type=float, help="Softens both opinions."),
    click.option("--qat", is_flag=True, help="Train on with int8 in the network, in place of calibration."),
    click.option("--qat-epochs", type=int, help="Epochs of it; a tenth of --epochs when left out."),
)


def training_options(command: _Command) -> _Command:
    """Everything that says what to train and how, on a command of class ``ArchitectureCommand``."""
    return _with(command, (*_NETWORK, *_DATA, *_METHOD))


def recipe_options(command: _Command) -> _Command:
    """What to train on and how, on a command that names its networks itself."""
    return _with(command, (*_DATA, *_METHOD))


def _with(command: _Command, options: Sequence[Callable[[_Command], _Command]]) -> _Command:
    for option in reversed(options):
        command = option(command)
    return command


def read_training(options: dict[str, Any]) -> dict[str, Any]:
    """`options` of the command line as fields of ``build.Request``."""
    from tinydeploy import zoo

    fields = dict(options)
    fields["arch_options"] = chosen_options(fields)
    fields["method"] = _take_method(fields)
    if fields["input_size"] is not None:
        fields["input_size"] = zoo.read_size(fields["input_size"])
    return fields


def read_recipe(options: dict[str, Any]) -> Job:
    """The options of ``recipe_options`` as a job for networks that are named later."""
    from tinydeploy.job import Job

    fields = dict(options)
    return Job(method=_take_method(fields), **fields)


def _take_method(fields: dict[str, Any]) -> Method:
    """How to train, taken out of a command's options."""
    from tinydeploy.method import Method

    return Method(**{one.name: fields.pop(one.name) for one in dataclasses.fields(Method)})
