"""One training as it is asked for: which network, on which data, how; done, or taken from the cache."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinydeploy import datasets, stamp, zoo
from tinydeploy.datasets import Dataset
from tinydeploy.distill import TEMPERATURE, WEIGHT, Teacher, digest_of, load_teacher
from tinydeploy.errors import UsageError
from tinydeploy.method import Method
from tinydeploy.progress import Watcher

if TYPE_CHECKING:
    from tinydeploy.training_cache import Trained

Stage = Callable[[str], None]

# Of the bundled and the downloaded data, known without loading them: channels, classes.
_KNOWN = {"digits": (1, 10), "cifar10": (3, 10), "fashion_mnist": (1, 10)}
_AS_THE_RECIPE = Method()
_TEACHER = re.compile(r"(?P<arch>\w+)(?::(?P<options>[^/]+))?(?:/(?P<alpha>[^/]+))?")


@dataclass(frozen=True, slots=True)
class Job:
    """What to train. `alpha` and `input_size` (height, and width or 0 for a square) of None are the architecture's
    own, or those of the data where it cannot be resized. Neither `dataset` nor `data` means the digits."""

    arch: str = "mobilenet_v1"
    alpha: float | None = None
    input_size: tuple[int, int] | None = None
    channels: int | None = None
    options: tuple[tuple[str, str], ...] = ()
    dataset: str | None = None
    data: Path | None = None
    skip_corrupt: bool = False
    method: Method = _AS_THE_RECIPE
    seed: int = 0

    @property
    def dataset_name(self) -> str | None:
        """The dataset's name; None for data of one's own."""
        return self.dataset or (None if self.data else "digits")

    @property
    def data_name(self) -> str:
        """What the data is called."""
        return self.dataset or (self.data.resolve().name.split(".")[0] if self.data else "digits")

    @property
    def name(self) -> str:
        """Network and data as one word for files."""
        spec = self.spec(classes=2, channels=3)
        sized = self._classifies or self.input_size is not None
        network = spec.name if sized else spec.name.removesuffix(f"_{spec.size_text}")  # the data sets its size
        suffix = "_qat" if self.method.qat else ""
        return re.sub(r"[^\w.]+", "_", f"{network}_{self.data_name}{suffix}")

    def spec(self, *, classes: int, channels: int) -> zoo.ModelSpec:
        """The network, for data of so many classes and channels; UsageError where there is no such network."""
        return zoo.make_spec(
            self.arch,
            alpha=self.alpha,
            input_size=self.input_size,
            channels=self.channels or channels,
            classes=classes,
            options=self.options,
        )

    def key(self) -> str:
        """A digest of everything that the training depends on; cheap, nothing is loaded."""
        data = datasets.stamp(self.dataset_name, data=self.data)
        teacher = self.method.teacher or ""
        content = hashlib.sha256(_keras_file(teacher).read_bytes()).hexdigest() if teacher.endswith(".keras") else None
        spec = zoo.architecture(self.arch).complete(self.spec(classes=2, channels=3))
        same = dataclasses.replace(self, data=None, alpha=spec.alpha, options=tuple(sorted(spec.options)))
        return stamp.digest(same, data, content)

    @property
    def known(self) -> bool:
        """Whether the network is known without loading the data."""
        return self.dataset_name in _KNOWN and self._classifies

    def load(self) -> Dataset:
        """The data, with the recipe as it is asked for."""
        size = self.spec(classes=2, channels=3).input_shape
        found = _loaded(
            self.dataset_name,
            self.data,
            max(size[:2]),
            self.channels,
            self.skip_corrupt,
            not self._classifies,
            datasets.stamp(self.dataset_name, data=self.data),
        )
        return dataclasses.replace(found, recipe=self.method.recipe(found.recipe))

    def trained_spec(self) -> zoo.ModelSpec:
        """The network as it will be trained; the data is loaded where nothing else knows its classes."""
        if self.known:
            channels, classes = _KNOWN[str(self.dataset_name)]
            return self.spec(classes=classes, channels=channels)
        return self.spec_for(self.load())

    def spec_for(self, dataset: Dataset) -> zoo.ModelSpec:
        """The network for loaded data; features set the size of its input, and any data that of an autoencoder."""
        sized = self
        rows, columns = dataset.train.images.shape[1:3]
        if self.input_size is None and not self._classifies:
            sized = dataclasses.replace(self, input_size=(rows, columns))
        elif self.input_size is None and dataset.features is not None:
            sized = dataclasses.replace(self, input_size=(rows, 0 if rows == columns else columns))
        return sized.spec(classes=len(dataset.class_names), channels=dataset.channels if self._classifies else 1)

    @property
    def sized_by_data(self) -> bool:
        """Whether the data sets the input's size where none is asked for: features do, and an autoencoder's data."""
        return not self._classifies or (self.data is not None and self.load().features is not None)

    @property
    def _classifies(self) -> bool:
        return zoo.architecture(self.arch).classifies


@functools.lru_cache(maxsize=1)
def _loaded(
    name: str | None,
    data: Path | None,
    input_size: int,
    channels: int | None,
    skip_corrupt: bool,
    anomalies: bool,
    stamp: str,
) -> Dataset:
    """The data, kept for the next network of a sweep or a search; `stamp` tells whether it has changed since."""
    return datasets.load(
        name, data=data, input_size=input_size, channels=channels, skip_corrupt=skip_corrupt, anomalies=anomalies
    )


def _whatever_its_size(spec: zoo.ModelSpec) -> None:
    """No network is refused."""


def obtain(
    job: Job,
    cache: Path,
    *,
    progress: Watcher,
    stage: Stage,
    require_fit: Callable[[zoo.ModelSpec], None] = _whatever_its_size,
) -> Trained:
    """The trained network, from a folder in `cache` where the same one was trained before; an interrupted training
    goes on from its checkpoint there.

    `require_fit` raises FitError for a network that cannot be deployed, before an epoch is spent on it; without it any
    network is trained.
    """
    from tinydeploy import training_cache

    if job.method.teacher is not None and not zoo.architecture(job.arch).classifies:
        raise UsageError(f"{job.arch} gives no classes that --teacher could teach; leave --teacher away")
    folder = cache / job.key()[:16]
    cached = training_cache.load(folder)
    if cached is not None:
        stage("train    taken from the cache: the same network was trained on the same data before")
        return cached
    if job.known:  # before a long load
        require_fit(job.trained_spec())
    stage(f"data     {job.dataset_name or job.data}")
    dataset = job.load()
    if dataset.skipped:
        stage(f"skipped  {len(dataset.skipped):,} unreadable: {', '.join(dataset.skipped)}")
    imbalance = dataset.imbalance()
    if imbalance is not None:
        stage(f"warning  {imbalance}")
    spec = job.spec_for(dataset)
    if not job.known:
        require_fit(spec)
    from tinydeploy.train import train_and_quantize

    teacher = _teacher(job, spec, dataset, cache, progress, stage)
    checkpoint = folder / "checkpoint.npz"
    resumed = ", going on from a checkpoint" if checkpoint.exists() else ""
    stage(f"train    {spec.name} on {len(dataset.train):,} images of {dataset.name}{resumed}")
    model = train_and_quantize(
        spec,
        dataset,
        seed=job.seed,
        progress=progress,
        teacher=teacher,
        qat_epochs=job.method.tuning_epochs(dataset.recipe.epochs),
        checkpoint=checkpoint,
    )
    stored = training_cache.store(folder, model)
    for file in folder.glob("checkpoint*.npz"):
        file.unlink(missing_ok=True)  # another process may train the same
    return stored


def _teacher(
    job: Job, spec: zoo.ModelSpec, dataset: Dataset, cache: Path, progress: Watcher, stage: Stage
) -> Teacher | None:
    """The network that teaches: read, or trained first on the same data (and cached)."""
    text = job.method.teacher
    if text is None:
        return None
    from tinydeploy.trainer import preprocess_of

    if text.endswith(".keras"):
        file, name = _keras_file(text), Path(text).stem
    else:
        from tinydeploy.training_cache import FLOAT_MODEL

        network = _teacher_options(text)
        method = dataclasses.replace(
            job.method, teacher=None, teacher_weight=None, temperature=None, qat=False, qat_epochs=None
        )
        size = (spec.input_size, spec.input_width)
        first = dataclasses.replace(job, **network, input_size=size, channels=spec.channels, method=method)
        try:
            name = first.spec_for(dataset).name
            stage(f"teacher  {name}")
            obtain(first, cache, progress=progress, stage=stage)
        except UsageError as error:
            raise UsageError(f"--teacher {text}: {error}") from error
        file = cache / first.key()[:16] / FLOAT_MODEL
    model = load_teacher(file, preprocess_of(spec), spec.classes)
    weight = WEIGHT if job.method.teacher_weight is None else job.method.teacher_weight
    return Teacher(model, name, digest_of(model), weight, job.method.temperature or TEMPERATURE)


def _keras_file(text: str) -> Path:
    if not Path(text).is_file():
        raise UsageError(f"there is no teacher {text}; give a .keras file, or a network of the zoo as ARCH/ALPHA")
    return Path(text)


def _teacher_options(text: str) -> dict[str, Any]:
    """``resnet:depth=20,bottleneck=off/0.5`` as fields of a job; the options and alpha may be left out."""
    found = _TEACHER.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        pairs = [part.split("=") for part in (found["options"] or "").split(",") if part]
        options = tuple((pair[0], pair[1]) for pair in pairs)
        alpha = float(found["alpha"]) if found["alpha"] else None
    except (ValueError, IndexError):
        raise UsageError(
            f"--teacher {text!r} is no network; give ARCH/ALPHA such as resnet/1, ARCH:OPTION=VALUE/ALPHA, or a .keras "
            "file"
        ) from None
    return {"arch": found["arch"], "alpha": alpha, "options": options}
