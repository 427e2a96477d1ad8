"""Simulate one micrograph: scene → potential → ice → lens → dose → camera → file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft

from vitripick.errors import UsageError
from vitripick.geometry import Boxes, Image
from vitripick.simulation.exposure import Camera, History, expose, illumination, pass_through
from vitripick.simulation.ice import ice_potential, mean_free_path_angstrom, thickness_field
from vitripick.simulation.optics import Optics, wave_intensity, weak_contrast
from vitripick.simulation.projection import Particles, project_all
from vitripick.simulation.scattering import electron_wavelength_angstrom, interaction_constant
from vitripick.simulation.scene import Field, Scene
from vitripick.simulation.scene_builder import SceneBuilder
from vitripick.simulation.scene_recipe import (
    ExposureRecipe,
    GaussianNoise,
    OpticsRecipe,
    SceneRecipe,
    draw,
)
from vitripick.simulation.stain import stained_intensity
from vitripick.simulation.structures.structure import Structure

# Particles whose heights differ by less than this share one defocus: at a resolution of 10 Å, the difference turns
# the CTF by 0.1 rad.
_SLAB_ANGSTROM = 300.0
# The rim of the field has room for the fringes that defocus puts around particles, from details as fine as this.
_FRINGE_ANGSTROM = 15.0
# Scene recipes state gradients for a field of 400 nm.
_GRADIENT_FIELD_ANGSTROM = 4000.0


@dataclass(frozen=True, eq=False)
class Simulated:
    """Holds a simulated micrograph and the truth about it.

    Attributes
    ----------
    image : (rows, columns), float32
        Electrons per pixel, or grey values if the file was processed.
    boxes
        The true particles: centres of those inside the micrograph, and boxes.
    pixel_size
        Å per pixel.
    junk : (rows, columns), bool
        Mask of thick contaminants, clumps and filaments, where a picker should pick nothing.
    parameters
        Everything that was drawn, ready for JSON.
    clean : (rows, columns), float32, or None
        The counts of a camera without noise, for particles and dirt in ice without grain; only if asked for.
    """

    image: Image
    boxes: Boxes
    pixel_size: float
    junk: npt.NDArray[np.bool_]
    parameters: dict[str, Any]
    clean: Image | None = None


def simulate_micrograph(
    recipe: SceneRecipe,
    structures: Sequence[Structure],
    rng: np.random.Generator,
    *,
    shape: tuple[int, int] | None = None,
    pixel_size: float | None = None,
    structure: Structure | None = None,
    name: str | None = None,
    with_clean: bool = False,
) -> Simulated:
    """Simulate one micrograph of one kind of particle.

    Parameters
    ----------
    recipe
        From `load_scene_recipe`.
    structures
        The particle is drawn from these. Filaments serve as contaminants, unless there are only filaments.
    rng
        The same generator state gives the same pixels.
    shape, pixel_size, structure
        If given, they override the recipe and the random draw.
    name
        Name of the micrograph, for the boxes.
    with_clean
        Whether to return `clean`, too; recipes with the paper's noise do not have it.

    Returns
    -------
    Simulated

    Raises
    ------
    UsageError
        If there is no structure, or more particles are asked for than fit.
    """
    if structure is None:
        particles_of = [s for s in structures if s.kind != "filament"] or list(structures)
        if not particles_of:
            raise UsageError("nothing to simulate: give at least one structure.")
        structure = particles_of[int(rng.integers(len(particles_of)))]
    filaments = [s for s in structures if s.kind == "filament" and s is not structure]
    shape = shape or recipe.shape
    pixel_size = draw(rng, recipe.pixel_size, log=True) if pixel_size is None else pixel_size
    optics = draw_optics(recipe.optics, rng)
    field = field_around(shape, pixel_size, structure.diameter_angstrom, optics)
    # Ice is at least as thick as what it holds.
    thickness = max(draw(rng, recipe.ice.thickness_angstrom, log=True), structure.diameter_angstrom)
    scene = SceneBuilder(recipe, field, rng).build(
        structure, thickness_angstrom=thickness, voltage_kv=optics.voltage_kv, filaments=filaments
    )
    clean = None
    if recipe.noise is not None:
        image, drawn = _with_gaussian_noise(scene, optics, recipe.noise, rng)
    else:
        image, drawn, clean = _exposed(scene, optics, recipe, thickness, rng, with_clean=with_clean)
    boxes = _boxes(scene, structure, recipe, name)
    parameters = {
        "structure": structure.name,
        "diameter_angstrom": round(structure.diameter_angstrom, 2),
        "mass_kda": structure.mass_kda,
        "pixel_size": pixel_size,
        "shape": list(shape),
        "optics": optics.model_dump(),
        **drawn,
        "layout": scene.drawn,
        "particles": _particle_records(scene, boxes),
        "contaminants": [asdict(contaminant) for contaminant in scene.contaminants],
    }
    return Simulated(image, boxes, pixel_size, field.cut(scene.junk).copy(), parameters, clean)


def particle_contrast(scene: Scene, optics: Optics, *, phase_per_potential: float) -> Image:
    """Return the contribution of the particles to the intensity of the padded field, each at the defocus of its
    height."""
    field, heights = scene.field, scene.z_angstrom
    span = float(np.ptp(heights)) if len(heights) else 0.0
    n_slabs = max(1, int(np.ceil(span / _SLAB_ANGSTROM)))
    edges = np.linspace(-span / 2, span / 2, n_slabs + 1) + (float(heights.min() + heights.max()) / 2 if span else 0.0)
    slab = np.clip(np.searchsorted(edges, heights, side="right") - 1, 0, n_slabs - 1)
    total = np.zeros(field.padded, np.float32)
    for i in range(n_slabs):
        here = slab == i
        if not here.any():
            continue
        groups = [group.select(here) for group in scene.particles]
        phase = project_all(groups, field.padded, pixel_size=field.pixel_size) * np.float32(phase_per_potential)
        # An underfocused lens has a plane above the ice in focus, and a higher particle is nearer to that plane.
        offset = -float(heights[here].mean())
        total += weak_contrast(phase, field.pixel_size, optics, defocus_offset_angstrom=offset)
    return total


def field_around(shape: tuple[int, int], pixel_size: float, extent_angstrom: float, optics: Optics) -> Field:
    """Return the field of a micrograph, with a rim as wide as half of what lies in it, and its fringes."""
    defocus = abs(optics.defocus_angstrom) + abs(optics.astigmatism_angstrom)
    fringe = electron_wavelength_angstrom(optics.voltage_kv) * defocus / _FRINGE_ANGSTROM
    rim = int(np.ceil((0.6 * extent_angstrom + fringe) / pixel_size)) + 4
    padded = (fft.next_fast_len(shape[0] + 2 * rim), fft.next_fast_len(shape[1] + 2 * rim))
    return Field(shape, rim, padded, pixel_size)


def draw_optics(recipe: OpticsRecipe, rng: np.random.Generator) -> Optics:
    """Return the optics of one micrograph."""
    plate = rng.random() < recipe.phase_plate_chance
    defocus = draw(rng, recipe.phase_plate_defocus_angstrom if plate else recipe.defocus_angstrom)
    return Optics(
        voltage_kv=float(rng.choice(recipe.voltages_kv)),
        spherical_aberration_mm=float(rng.choice(recipe.spherical_aberrations_mm)),
        amplitude_contrast=draw(rng, recipe.amplitude_contrast),
        defocus_angstrom=defocus,
        astigmatism_angstrom=defocus * draw(rng, recipe.astigmatism),
        astigmatism_degrees=float(rng.uniform(0, 180)),
        phase_shift_degrees=draw(rng, recipe.phase_shift_degrees) if plate else 0.0,
        b_factor=draw(rng, recipe.b_factor),
    )


def exposed(
    scene: Scene, optics: Optics, recipe: SceneRecipe, thickness_angstrom: float, rng: np.random.Generator
) -> tuple[Image, dict[str, Any]]:
    """Return the micrograph of a scene in ice, and what was drawn for it, ready for JSON."""
    return _exposed(scene, optics, recipe, thickness_angstrom, rng, with_clean=False)[:2]


def _exposed(
    scene: Scene,
    optics: Optics,
    recipe: SceneRecipe,
    thickness_angstrom: float,
    rng: np.random.Generator,
    *,
    with_clean: bool,
) -> tuple[Image, dict[str, Any], Image | None]:
    """Return the result of `exposed`, and the same without noise if that is wanted."""
    field, exposure = scene.field, recipe.exposure
    if recipe.stain is None:
        intensity, signal, background_power, drawn, pure = _frozen(
            scene, optics, recipe, thickness_angstrom, rng, with_clean=with_clean
        )
    else:
        intensity, told = stained_intensity(scene, optics, recipe.stain, rng)
        # Everything that is not flat is signal at a particle, and background elsewhere.
        signal = intensity - np.float32(intensity.mean())
        off = ~_under_particles(scene)
        background_power = float(field.cut(signal)[off].var()) if off.any() else 0.0
        drawn, pure = {"stain": told}, intensity if with_clean else None

    dose, detector, history, lit = _draw_exposure(exposure, field, rng)
    beam = illumination(field.shape, rng, **lit)
    seen = field.cut(intensity) * beam
    per_pixel = dose * field.pixel_size**2
    counts = expose(seen, rng, dose_per_pixel=per_pixel, pixel_size=field.pixel_size, detector=detector)
    noise_power = background_power + 1 / (per_pixel * max(float(seen.mean()), 1e-3))
    clean = None
    if pure is not None:
        clean = pass_through(field.cut(pure) * beam * np.float32(per_pixel), History(inverted=history.inverted))
    return (
        pass_through(counts, history),
        {
            **drawn,
            "dose_per_square_angstrom": dose,
            "detector": detector.model_dump(),
            "illumination": lit,
            "history": history.model_dump(),
            "snr": _power_under(signal, scene) / noise_power,
        },
        clean,
    )


def _frozen(
    scene: Scene,
    optics: Optics,
    recipe: SceneRecipe,
    thickness_angstrom: float,
    rng: np.random.Generator,
    *,
    with_clean: bool,
) -> tuple[Image, Image, float, dict[str, Any], Image | None]:
    """Return the intensity behind a scene in ice, what particles add to it, the rest's power, and what was drawn.

    The last is that intensity without the grain of the ice, if it is wanted.
    """
    field, ice = scene.field, recipe.ice
    wedge, waviness = draw(rng, ice.wedge) * _field_share(field), draw(rng, ice.waviness)
    structure_factor = draw(rng, ice.structure_factor, log=True)
    thickness = thickness_field(field.padded, rng, mean_angstrom=thickness_angstrom, wedge=wedge, waviness=waviness)
    contrast = draw(rng, recipe.exposure.contrast)
    sigma = interaction_constant(optics.voltage_kv)
    signal = particle_contrast(scene, optics, phase_per_potential=contrast * sigma)
    grain = ice_potential(thickness, field.pixel_size, rng, structure_factor=structure_factor)
    debris = project_all(scene.debris, field.padded, pixel_size=field.pixel_size)
    grain += debris
    background = weak_contrast(grain * np.float32(contrast * sigma), field.pixel_size, optics)
    intensity = 1 + signal + background
    pure = None
    if with_clean:
        pure = 1 + signal + weak_contrast(debris * np.float32(contrast * sigma), field.pixel_size, optics)
    wanted = [intensity] if pure is None else [intensity, pure]
    if scene.bodies is not None:
        bodies = scene.bodies
        wave = wave_intensity(bodies.phase_potential * np.float32(sigma), bodies.loss, field.pixel_size, optics)
        for one in wanted:
            one *= wave
    passed = np.exp(-thickness / np.float32(mean_free_path_angstrom(optics.voltage_kv)))
    for one in wanted:
        one *= passed
    drawn = {
        "thickness_angstrom": thickness_angstrom,
        "wedge": wedge,
        "waviness": waviness,
        "structure_factor": structure_factor,
    }
    background_power = float(field.cut(background).var())
    return intensity, signal, background_power, {"ice": drawn, "contrast": contrast}, pure


def _field_share(field: Field) -> float:
    """Return the micrograph's longer side over the 400 nm for which recipes state gradients, 1.5 at most."""
    return min(1.5, max(field.shape) * field.pixel_size / _GRADIENT_FIELD_ANGSTROM)


def _draw_exposure(
    recipe: ExposureRecipe, field: Field, rng: np.random.Generator
) -> tuple[float, Camera, History, dict[str, Any]]:
    """Return the dose in electrons per Å², the camera, what happened to the file, and the options of `illumination`."""
    detector = Camera(
        pixel_size=draw(rng, recipe.detector_pixel_size, log=True),
        mtf_nyquist=draw(rng, recipe.mtf_nyquist),
        noise_nyquist=draw(rng, recipe.noise_nyquist),
        gain_error=draw(rng, recipe.gain_error),
        scan_lines=draw(rng, recipe.scan_lines, log=True) if rng.random() < recipe.scan_lines_chance else 0.0,
        hot_pixels=draw(rng, recipe.hot_pixels),
        x_rays=draw(rng, recipe.x_rays),
    )
    lowpass_angstrom = draw(rng, recipe.lowpass_angstrom) if rng.random() < recipe.lowpass_chance else 0.0
    history = History(
        lowpass_px=lowpass_angstrom / field.pixel_size,
        eight_bit=bool(rng.random() < recipe.eight_bit_chance),
        jpeg_quality=round(draw(rng, recipe.jpeg_quality)) if rng.random() < recipe.jpeg_chance else 0,
        inverted=bool(rng.random() < recipe.inverted_chance),
    )
    lit = {
        "gradient": draw(rng, recipe.gradient) * _field_share(field),
        "vignetting": draw(rng, recipe.vignetting) * _field_share(field) ** 2,
        "beam_edge": bool(rng.random() < recipe.beam_edge_chance),
    }
    return draw(rng, recipe.dose_per_square_angstrom, log=True), detector, history, lit


def _with_gaussian_noise(
    scene: Scene, optics: Optics, noise: GaussianNoise, rng: np.random.Generator
) -> tuple[Image, dict[str, Any]]:
    """Return the micrograph of a scene in the paper's noise, and what was drawn for it, ready for JSON.

    Its contrast is that of the CTF itself: half of what the CTF adds to an intensity.
    """
    field = scene.field
    gain = np.float32(noise.signal_per_radian)
    sigma = interaction_constant(optics.voltage_kv)
    signal = particle_contrast(scene, optics, phase_per_potential=float(gain) / 2 * sigma)
    structural = project_all(scene.debris, field.padded, pixel_size=field.pixel_size) * np.float32(gain * sigma)
    sd = np.float32(noise.structural_sd * noise.level)
    structural += sd * rng.standard_normal(field.padded, dtype=np.float32)
    image = signal + weak_contrast(structural, field.pixel_size, optics) / 2
    image += np.float32(noise.shot_sd * noise.level) * rng.standard_normal(field.padded, dtype=np.float32)
    seen = field.cut(np.asarray(image, np.float32))
    off = ~_under_particles(scene)
    noise_power = float(seen[off].var()) if off.any() else float("nan")
    return seen.copy(), {"noise": noise.model_dump(), "snr": _power_under(signal, scene) / noise_power}


def _under_particles(scene: Scene) -> npt.NDArray[np.bool_]:
    """Return which pixels lie inside the circle that a particle's projection spans, (rows, columns)."""
    field = scene.field
    mask = np.zeros(field.shape, np.uint8)
    particles: Particles = scene.particles[0]
    for x, y, extent in zip(particles.x, particles.y, scene.extents_px.mean(axis=1), strict=True):
        centre = (round(float(x)) - field.rim_px, round(float(y)) - field.rim_px)
        cv2.circle(mask, centre, max(1, round(float(extent) / 2)), 1, -1)
    return mask.astype(bool)


def _power_under(signal: Image, scene: Scene) -> float:
    """Return the mean square of the particles' own contrast under the particles: the signal power of the SNR."""
    mask = _under_particles(scene)
    return float(np.mean(scene.field.cut(signal)[mask] ** 2)) if mask.any() else 0.0


def _boxes(scene: Scene, structure: Structure, recipe: SceneRecipe, name: str | None) -> Boxes:
    """Return the true particles, in pixels of the micrograph."""
    field, particles = scene.field, scene.particles[0]
    keep = scene.labelled
    if recipe.particles.box == "constant":
        size = np.full(int(keep.sum()), structure.diameter_angstrom / field.pixel_size)
    else:
        size = scene.extents_px[keep].max(axis=1)
    return Boxes.at(
        particles.x[keep] - field.rim_px,
        particles.y[keep] - field.rim_px,
        size_px=size * recipe.particles.box_margin,
        micrograph=name,
        shape=field.shape,
        pixel_size=field.pixel_size,
    )


def _particle_records(scene: Scene, boxes: Boxes) -> list[dict[str, Any]]:
    """Return place, height and rotation of each labelled particle, ready for JSON."""
    rotations = scene.particles[0].rotations[scene.labelled]
    heights = scene.z_angstrom[scene.labelled]
    return [
        {
            "x": round(float(x), 3),
            "y": round(float(y), 3),
            "box_px": round(float(size), 2),
            "z_angstrom": round(float(z), 1),
            "rotation": [[round(float(value), 5) for value in row] for row in rotation],
        }
        for x, y, size, z, rotation in zip(boxes.x, boxes.y, boxes.width, heights, rotations, strict=True)
    ]
