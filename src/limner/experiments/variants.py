"""Variants of the flow asked about one person: how wrong each is, and how long it takes."""

import time
from typing import Literal

import torch

from limner.body.params import BodyParams
from limner.curate.observe import seen_points
from limner.estimator import Estimator
from limner.experiments import flow
from limner.experiments.errors import Target, errors_of, target_of
from limner.experiments.people import Shown
from limner.fit.fitter import Fitter
from limner.fit.records import FitTargets
from limner.geometry.camera import Camera
from limner.geometry.warp import Frames
from limner.pipeline.merge import merge
from limner.pipeline.people import People

LIMNER, NO_ATTENTION = "limner", "without attention"
BODY, UNREFINED = "body network", "body and part networks"
FINGERS, PASTED = "fingers and face only", "rotations pasted"
SMALL, SMALL_UNREFINED = "crops from the body image", "crops from the body image, not refined"
FIT_MEAN, FIT_START = "optimised from typical poses", "regressed, then optimised"
FIT_MEAN_TRUE, FIT_START_TRUE = f"{FIT_MEAN}, true points", f"{FIT_START}, true points"
TUNED, TUNED_UNREFINED = "fine-tuned together", "fine-tuned together, not refined"
REDUCTIONS = (8, 4, 2)
SECONDS = "seconds"

Group = Literal["flow", "sizes", "fits", "tuned"]
"""Variants that are asked for together: stages and merging; photo sizes; optimisation; weights fine-tuned together."""

VariantErrors = dict[str, dict[str, float]]
"""Errors by variant and metric; `seconds` where time was taken."""


def of_size(px: int) -> str:
    """Name of the variant about a photo of that side."""
    return f"photo of {px} px"


class VariantRunner:
    """Asks every variant about one person after the other, one group of variants at a time."""

    def __init__(self, estimator: Estimator, tuned: Estimator | None = None):
        """`tuned`: the same flow with weights from after end-to-end fine-tuning, for the group of that name."""
        self.estimator, self.model, self.tuned = estimator, estimator.body_model, tuned
        self.fitter = Fitter(self.model)
        self._last: tuple[Shown, People, float] | None = None

    @torch.no_grad()
    def ask(self, person: Shown, group: Group) -> VariantErrors:
        """One group of variants about one person."""
        target = target_of(self.model, person.params, person.camera)
        match group:
            case "flow":
                people, seconds = self._regressed(person)
                whole = {LIMNER: self._scored(people.params, people.camera, target) | {SECONDS: seconds}}
                return whole | self._variants(person, target)
            case "sizes":
                return self._sizes(person, target)
            case "fits":
                return self._fits(person, target)
            case "tuned":
                return self._tuned(person, target)

    def _regressed(self, person: Shown) -> tuple[People, float]:
        """limner's people and the CPU seconds they took; the last person's are kept."""
        if self._last is None or self._last[0] is not person:
            started = time.process_time()
            people = self.estimator(person.photo, person.box)
            self._last = person, people, time.process_time() - started
        return self._last[1:]

    def _scored(self, params: BodyParams, camera: Camera, target: Target) -> dict[str, float]:
        return errors_of(self.model, params, camera, target)

    def _variants(self, person: Shown, target: Target) -> VariantErrors:
        """Stages left out, parts cut from other pixels, parts merged in other ways."""
        net, frames = self.estimator, Frames((person.photo,))
        first = flow.coarse(net, frames, person.box)
        small_frames = Frames((flow.through_body_crop(person.photo, first.seen.squares),))
        parts = net.attend(frames, first, first.body)
        small = net.attend(small_frames, first, first.body)
        refined_small = net.attend(small_frames, first, first.refined)
        prediction = {
            NO_ATTENTION: first.refined,
            BODY: first.body,
            UNREFINED: merge(first.body, parts),
            SMALL_UNREFINED: merge(first.body, small),
            SMALL: net.flow.join(first, refined_small),
            FINGERS: flow.fingers_only(first.body, parts),
            PASTED: flow.pasted(first.body, parts),
        }
        return {name: self._scored(params, first.camera, target) for name, params in prediction.items()}

    def _sizes(self, person: Shown, target: Target) -> VariantErrors:
        """The whole flow on smaller photos of the same person, in the large photo's pixels."""
        variants = {}
        for factor in REDUCTIONS:
            people = self.estimator(flow.reduced(person.photo, factor), person.box / factor)
            camera = Camera(people.camera.focal_px * factor, people.camera.center_px * factor)
            variants[of_size(person.photo.shape[-1] // factor)] = self._scored(people.params, camera, target)
        return variants

    def _tuned(self, person: Shown, target: Target) -> VariantErrors:
        """The whole flow, and the networks alone, with the fine-tuned weights."""
        net = self.tuned
        assert net is not None
        frames = Frames((person.photo,))
        first = flow.coarse(net, frames, person.box)
        parts = net.attend(frames, first, first.refined)
        plain = net.attend(frames, first, first.body)
        prediction = {TUNED: net.flow.join(first, parts), TUNED_UNREFINED: merge(first.body, plain)}
        return {name: self._scored(params, first.camera, target) for name, params in prediction.items()}

    def _fits(self, person: Shown, target: Target) -> VariantErrors:
        """Optimisation onto the networks' 2D points and onto the true ones, with the camera that limner assumes."""
        people, regression_s = self._regressed(person)
        px, confidence = seen_points(self.estimator, people)
        seen = FitTargets(px, confidence, people.camera, people.boxes)
        true = FitTargets(person.keypoints_px, torch.ones_like(confidence), people.camera, people.boxes)
        variants = {}
        for name, targets, start in (
            (FIT_MEAN, seen, None),
            (FIT_START, seen, people.params),
            (FIT_MEAN_TRUE, true, None),
            (FIT_START_TRUE, true, people.params),
        ):
            started = time.process_time()
            fits = self.fitter(targets, start=start)
            # an optimiser needs 2D points from somewhere: the networks' time is part of all four
            seconds = regression_s + time.process_time() - started
            variants[name] = self._scored(fits.params, people.camera, target) | {SECONDS: seconds}
        return variants
