"""Make the bundled denoiser from simulated pairs alone: simulate for a while, train for a while, export to ONNX.

Needs only vitripick with torch. No real micrograph is used. Loss: the mean square error to the clean image, so that the
network has no reward for detail that the noise does not show.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vitripick.models.denoiser import standardised
from vitripick.simulation import bundled_structures, load_scene_recipe, read_structure, simulate_micrograph

CROP_PX = 256
PIXEL_SIZES = (3.5, 9.0)
CHANGES = ("exposure.eight_bit_chance=0", "exposure.jpeg_chance=0", "exposure.beam_edge_chance=0")
# Of the blurs that the network sees, in squares of 2 x 2 pixels; and how far their kernels reach.
SIGMAS = (0.0, 0.7, 1.2, 2.0, 3.5)
_REACH = 9
# Clean images with less power than this, in units of the noise's, count little in the loss.
_FAINT = 0.02
# One pair in this number has no particle.
EMPTY_EVERY = 6


class Denoiser(nn.Module):
    """Looks at three scales of squares of 2 x 2 pixels as a U-Net, and at the image blurred more and more.

    What it gives is a blend of these blurs, of another share at each place, and a correction.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        w = width
        self.register_buffer("kernels", torch.stack([_gaussian(sigma) for sigma in SIGMAS])[:, None])
        n = len(SIGMAS)
        self.first = _block(4 + n, w)
        self.down4, self.down8 = _block(w, 2 * w, stride=2), _block(2 * w, 2 * w, stride=2)
        self.deep = _block(2 * w, 2 * w)
        self.merge4, self.merge2 = _block(2 * w, 2 * w), _block(w, w)
        self.narrow = nn.Conv2d(2 * w, w, 1)
        self.blend, self.last = nn.Conv2d(w, n + 1, 3, padding=1), nn.Conv2d(w, 4, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Turn standardised images (n, 1, h, w) into clean ones; sides are multiples of 16."""
        fine = functional.pixel_unshuffle(images, 2)
        half = _REACH
        padded = functional.pad(fine.mean(dim=1, keepdim=True), (half, half, half, half), mode="replicate")
        blurs = functional.conv2d(padded, self.kernels)
        at2 = self.first(torch.cat([fine, blurs], dim=1))
        at4 = self.down4(at2)
        at8 = self.deep(self.down8(at4))
        at4 = self.merge4(at4 + functional.interpolate(at8, scale_factor=2.0, mode="nearest"))
        at2 = self.merge2(at2 + functional.interpolate(self.narrow(at4), scale_factor=2.0, mode="nearest"))
        shares = self.blend(at2).softmax(dim=1)[:, 1:]  # the first share is that of nothing
        return functional.pixel_shuffle(self.last(at2) + (shares * blurs).sum(dim=1, keepdim=True), 2)


def _gaussian(sigma: float) -> Tensor:
    line = torch.exp(-0.5 * (torch.arange(-_REACH, _REACH + 1) / max(sigma, 1e-3)) ** 2)
    kernel = line[:, None] * line[None, :]
    return kernel / kernel.sum()


def _block(n_in: int, n_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1), nn.ReLU(), nn.Conv2d(n_out, n_out, 3, padding=1), nn.ReLU()
    )


def simulate_pairs(seconds: float, seed: int, *, at_least: int = 2) -> tuple[Tensor, Tensor]:
    """Return noisy and clean images, (n, 1, p, p) each, standardised alike."""
    cv2.setNumThreads(1)
    structures = [read_structure(path) for path in bundled_structures().values()]
    kinds = {name: load_scene_recipe(name, changes=CHANGES) for name in ("general", "empty")}
    particles = [one for one in structures if one.kind != "filament"]
    noisy, clean = [], []
    until = time.time() + seconds
    while len(noisy) < at_least or time.time() < until:
        rng = np.random.default_rng([seed, len(noisy)])
        recipe = kinds["empty" if len(noisy) % EMPTY_EVERY == EMPTY_EVERY - 1 else "general"]
        pixel_size = float(np.exp(rng.uniform(*np.log(PIXEL_SIZES))))
        simulated = simulate_micrograph(
            recipe,
            structures,
            rng,
            shape=(CROP_PX, CROP_PX),
            pixel_size=pixel_size,
            structure=particles[int(rng.integers(len(particles)))],
            with_clean=True,
        )
        image, background, spread = standardised(simulated.image)
        assert simulated.clean is not None
        noisy.append(image)
        clean.append(np.clip((simulated.clean - background) / np.float32(spread), -8, 8))
    return tuple(torch.from_numpy(np.stack(some).astype(np.float32))[:, None] for some in (noisy, clean))  # type: ignore[return-value]


def batch_of(noisy: Tensor, clean: Tensor, n: int, crop: int, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return crops, turned and mirrored, with more or less of their noise, dark or bright."""
    images, wanted = [], []
    for i in generator.integers(len(noisy), size=n):
        y, x = generator.integers(noisy.shape[-1] - crop + 1, size=2)
        one, other = noisy[i, :, y : y + crop, x : x + crop], clean[i, :, y : y + crop, x : x + crop]
        turns, mirror = int(generator.integers(4)), bool(generator.integers(2))
        share = float(generator.uniform(0.6, 1.3)) * (1 if generator.random() > 0.2 else -1)  # a few are bright
        sign = 1.0 if share > 0 else -1.0
        one = sign * (other + abs(share) * (one - other))
        other = sign * other
        one, other = torch.rot90(one, turns, (1, 2)), torch.rot90(other, turns, (1, 2))
        images.append(one.flip(2) if mirror else one)
        wanted.append(other.flip(2) if mirror else other)
    return torch.stack(images), torch.stack(wanted)


def train(
    network: Denoiser, noisy: Tensor, clean: Tensor, *, seconds: float, batch: int, crop: int, rate: float, seed: int
) -> int:
    """Train until the time is up; return the number of steps."""
    generator = np.random.default_rng(seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=rate)
    began, step, mean = time.time(), 0, 0.0
    average = {key: value.clone() for key, value in network.state_dict().items()}
    while step == 0 or time.time() < began + seconds:
        done = min(1.0, (time.time() - began) / max(seconds, 1e-9))
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 30) * (1 - done) ** 0.9
        images, wanted = batch_of(noisy, clean, batch, crop, generator)
        # Of each image alone: else a few crystals and film edges would count more than all particles.
        power = (wanted**2).mean(dim=(1, 2, 3))
        wrong = ((network(images) - wanted) ** 2).mean(dim=(1, 2, 3))
        loss = ((wrong + 1e-6) / (power + _FAINT)).sqrt().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        mean = loss.item() if step == 0 else 0.98 * mean + 0.02 * loss.item()
        keep = min(0.99, step / (step + 10))
        for key, value in network.state_dict().items():
            average[key].mul_(keep).add_(value, alpha=1 - keep)
        if step % 50 == 0:
            print(f"[{time.time() - began:.0f} s] step {step}: loss {mean:.4f}", flush=True)
        step += 1
    network.load_state_dict(average)
    return step


@torch.inference_mode()
def judged(network: Denoiser, noisy: Tensor, clean: Tensor) -> dict[str, float]:
    """Return the error over the clean image: as it comes, blurred as well as can be, and denoised."""
    images, wanted = noisy.numpy()[:, 0], clean.numpy()[:, 0]
    found = torch.cat([network(noisy[i : i + 8]) for i in range(0, len(noisy), 8)]).numpy()[:, 0]
    errors: dict[str, list[float]] = {"as it is": [], "best low-pass of each": [], "denoised": []}
    for image, other, one in zip(images, wanted, found, strict=True):
        sigmas = (0.7, 1.0, 1.5, 2.0, 3.0, 4.5, 7.0)
        low = min(_relative_error(cv2.GaussianBlur(image, (0, 0), s), other) for s in sigmas)
        for name, value in zip(errors, (_relative_error(image, other), low, _relative_error(one, other)), strict=True):
            errors[name].append(value)
    return {name: round(float(np.mean(values)), 4) for name, values in errors.items()}


def _relative_error(image: np.ndarray, clean: np.ndarray) -> float:
    return float(np.sqrt(((image - clean) ** 2).mean() / max(float((clean**2).mean()), 1e-6)))


def store_in_half_precision(path: Path) -> None:
    """Store the weights of a graph in half precision, which halves the file; the network computes as before."""
    import onnx

    model = onnx.load(str(path))
    kept, casts = [], []
    for weights in model.graph.initializer:
        values = onnx.numpy_helper.to_array(weights)
        if values.dtype != np.float32 or values.size <= 100:
            kept.append(weights)
            continue
        stored = f"{weights.name}.half"
        kept.append(onnx.numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(onnx.helper.make_node("Cast", [stored], [weights.name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    for field, content in ((model.graph.initializer, kept), (model.graph.node, nodes)):
        content = list(content)
        del field[:]
        field.extend(content)
    onnx.save(model, str(path))


def main() -> None:
    """Simulate, train, judge, export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the ONNX file to write")
    parser.add_argument("--data-seconds", type=float, default=200)
    parser.add_argument("--train-seconds", type=float, default=400)
    parser.add_argument("--held-out", type=int, default=40, help="pairs to judge by")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pairs", type=Path, help="keep the pairs in this file, and take them from it")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(given.seed)
    if given.pairs is not None and given.pairs.is_file():
        noisy, clean = torch.load(given.pairs)
    else:
        noisy, clean = simulate_pairs(given.data_seconds, given.seed)
        if given.pairs is not None:
            torch.save((noisy, clean), given.pairs)
    print(f"{len(noisy)} pairs", flush=True)
    network = Denoiser(given.width)
    print(f"{sum(p.numel() for p in network.parameters())} parameters", flush=True)
    steps = train(
        network,
        noisy,
        clean,
        seconds=given.train_seconds,
        batch=given.batch,
        crop=given.crop,
        rate=given.learning_rate,
        seed=given.seed,
    )
    held_out = simulate_pairs(0, 1_000_003 + given.seed, at_least=given.held_out)
    print(f"{steps} steps; error on held-out pairs: {judged(network.eval(), *held_out)}", flush=True)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        network,
        (torch.zeros(1, 1, 64, 64),),
        str(given.out),
        input_names=["images"],
        output_names=["clean"],
        dynamic_axes={"images": {0: "n", 2: "h", 3: "w"}, "clean": {0: "n", 2: "h", 3: "w"}},
        opset_version=17,
        dynamo=False,
    )
    store_in_half_precision(given.out)


if __name__ == "__main__":
    main()
