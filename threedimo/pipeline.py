"""The method from inputs to frames (paper figure 2); `MotionTransferPipeline.__call__` reads as the figure.

Text, reference image, motion and camera are each encoded before denoising, never inside it. Clips longer than
the model's own length are denoised window by window (`threedimo.windows`) and decoded once at the end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from threedimo.adapters import load_adapter, save_adapter
from threedimo.camera import CameraPath, camera_hints
from threedimo.components import require_fit
from threedimo.denoising import DenoisingStep, denoise
from threedimo.errors import InvalidModel
from threedimo.guidance import Branch, Conditions, guidance_branches
from threedimo.latents import decode_into, decode_preview, encode_video
from threedimo.media import fit_frames, normalise
from threedimo.memory_plans import MemoryPlan, enough_memory, step_down
from threedimo.model_files import INFO_NAME
from threedimo.model_info import read_adapter_info, read_model_info
from threedimo.models import CameraEncoder, MotionEncoder, MotionWanTransformer3DModel
from threedimo.people.hands import Hands, check_hands
from threedimo.progress import Progress, Step
from threedimo.prompts import encode_text
from threedimo.shot import Shot, check_driving_length, check_pictures
from threedimo.step_caches import cached_steps
from threedimo.token_cache import TokenCache
from threedimo.windows import Window, clip_windows
from threedimo.wire.messages import ModelInfo


@dataclass(frozen=True)
class MotionTransferOutput:
    """A finished shot.

    Args:
        frames: (frames, height, width, 3) uint8 RGB.
        seconds: Time spent in each phase: "encoding", "denoising", "rendering".
    """

    frames: np.ndarray
    seconds: dict[str, float]


class MotionTransferPipeline(DiffusionPipeline):
    """A reference image performs the driving frames' motion in front of the camera of text and path.

    Args:
        tokenizer: Of the text encoder.
        text_encoder: T5 or UMT5 encoder.
        vae: Wan video autoencoder.
        transformer: The generator with motion attention.
        motion_encoder: Driving frames to motion tokens.
        camera_encoder: Camera hints to camera tokens.
        scheduler: Of the flow; its `shift` is the model's.
        num_lead_latents: Clean latent frames, 1 or 2, that a later window takes over from the one before.
        max_text_tokens: Length to which text embeddings are filled up.
        info: What the model makes; stored beside the components as `threedimo.json`.

    Raises:
        InvalidModel: The components, or they and `info`, do not fit together.
    """

    model_cpu_offload_seq = "text_encoder->motion_encoder->camera_encoder->transformer->vae"

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        text_encoder: PreTrainedModel,
        vae: AutoencoderKLWan,
        transformer: MotionWanTransformer3DModel,
        motion_encoder: MotionEncoder,
        camera_encoder: CameraEncoder,
        scheduler: FlowMatchEulerDiscreteScheduler,
        num_lead_latents: int = 1,
        max_text_tokens: int = 512,
        info: ModelInfo | None = None,
    ):
        super().__init__()
        if info is None:
            raise InvalidModel(
                f"a pipeline needs the description of its model, `info`, stored as {INFO_NAME}"
            )
        self.register_modules(
            tokenizer=tokenizer,
            text_encoder=text_encoder,
            vae=vae,
            transformer=transformer,
            motion_encoder=motion_encoder,
            camera_encoder=camera_encoder,
            scheduler=scheduler,
        )
        self.register_to_config(num_lead_latents=num_lead_latents, max_text_tokens=max_text_tokens)
        self.info = info
        self.memory_plan: MemoryPlan = "full"
        self.token_cache: TokenCache | None = None
        require_fit(self.components, info)

    @property
    def driving_size(self) -> tuple[int, int]:
        """`(width, height)` in pixels that driving frames are fitted to, whatever size they come in."""
        size = self.motion_encoder.config["frame_size"]
        return size, size

    @property
    def hand_crop_size(self) -> int:
        """Width and height in pixels of the close-ups of hands."""
        return self.motion_encoder.config["hand_crop_size"]

    @torch.no_grad()
    def __call__(
        self,
        reference_image: np.ndarray,
        driving_frames: np.ndarray,
        prompt: str = "",
        camera_path: CameraPath | None = None,
        *,
        hands: Hands | None = None,
        num_frames: int | None = None,
        fps: float | None = None,
        width: int | None = None,
        height: int | None = None,
        num_inference_steps: int | None = None,
        text_guidance_scale: float | None = None,
        motion_guidance_scale: float | None = None,
        seed: int = 0,
        preset: str = "",
        step_cache: str | None = None,
        on_step: Callable[[Step], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> MotionTransferOutput:
        """Make one shot. `None` means the preset's number, or the model's own, which `info` holds.

        The same inputs and seed give the same frames on the same device and library versions. The noise is
        drawn on the CPU, window by window, so that a longer clip begins as the shorter one did.

        Args:
            reference_image: The person, (height, width, 3) uint8 RGB; cut around the centre to the shape of
                the result.
            driving_frames: The motion, (num_frames, height, width, 3) uint8 RGB, sampled at the `fps` of the
                result; cut around the centre to a square.
            prompt: The camera, and whatever else is to be seen, in words.
            camera_path: The exact camera in time, resampled to the result's frames; None leaves the camera
                to the text.
            hands: Close-ups of the driver's hands, from `threedimo.people`; None where none were located.
            num_frames: Frames of the result, `4k+1`; None means as many as there are driving frames.
            fps: Rate of the result.
            width: Width of the result in pixels.
            height: Height of the result in pixels.
            num_inference_steps: Denoising steps of each window, 1 to 200.
            text_guidance_scale: Weight of text and camera, 0 to 50; 1 is no guidance.
            motion_guidance_scale: Weight of the driving motion, 0 to 50; 1 is no guidance.
            seed: Of the noise, 0 to 2**32 - 1.
            preset: "draft", "standard" or "final", or a name of the model's own; "" is the model's numbers.
            step_cache: What of a step is taken over from the one before, see `threedimo.presets`.
            on_step: Is told of every step.
            should_stop: Is asked after every step.

        Raises:
            UnsupportedFrameCount: The model cannot make this number of frames.
            UnsupportedSize: The model cannot make frames of this size.
            InvalidRequest: Another input is out of range or of the wrong shape, or the text is too long.
            CameraError: The camera path does not cover the shot.
            JobCancelled: `should_stop` answered true.
            OutOfMemory: The device has too little memory.
        """
        check_pictures("reference_image", reference_image, "(height, width, 3)")
        check_pictures("driving_frames", driving_frames, "(frames, height, width, 3)")
        shot = Shot.checked(
            self.info,
            num_frames=len(driving_frames) if num_frames is None else num_frames,
            fps=fps,
            width=width,
            height=height,
            num_inference_steps=num_inference_steps,
            text_guidance_scale=text_guidance_scale,
            motion_guidance_scale=motion_guidance_scale,
            seed=seed,
            preset=preset,
            step_cache=step_cache,
        )
        check_driving_length(driving_frames, shot)
        if hands is not None:
            check_hands(hands, shot.num_frames, self.hand_crop_size)
        windows = clip_windows(self.info, shot.num_frames, self.config["num_lead_latents"])
        progress = Progress(on_step, should_stop, self._settle)

        caching = cached_steps(self.transformer, shot.step_cache, self.info, shot.num_inference_steps)
        with enough_memory(self, shot, self._execution_device), caching as forget_steps:
            with progress.phase("encoding"):
                progress.report(Step("encoding", 0, 1))
                text, empty_text = self._encode_text(prompt), self._encode_text("")
                reference_latents = self._encode_reference(reference_image, shot)
                driving_video = fit_frames(driving_frames, *self.driving_size)
                if camera_path is not None:
                    camera_path = camera_path.resampled(shot.num_frames, shot.fps)
                    camera_path = camera_path.for_size(shot.width, shot.height)
                progress.report(Step("encoding", 1, 1))

            latents = reference_latents
            generator = torch.Generator("cpu").manual_seed(shot.seed)
            for index, window in enumerate(windows):
                with progress.phase("encoding"):
                    motion_tokens = self._encode_motion(driving_video, hands, window)
                    camera_tokens = self._encode_camera(camera_path, window, motion_tokens)
                    branches = self._branches(
                        Conditions(text, motion_tokens, camera_tokens), empty_text, shot
                    )
                with progress.phase("denoising"):
                    forget_steps()
                    lead_latents = latents[:, :, -window.num_lead_latents :]
                    steps = self._denoise(lead_latents, window, branches, shot, generator)
                    latents = self._follow(latents, steps, progress, index, windows, shot)

            frames = np.empty((shot.num_frames, shot.height, shot.width, 3), np.uint8)
            with progress.phase("rendering"):
                for done in decode_into(frames, self.vae, latents):
                    progress.report(Step("rendering", done, latents.shape[2]))
        return MotionTransferOutput(frames, progress.seconds)

    # What every window shares.

    def _once(self, content: str | np.ndarray, encode: Callable[[], Tensor]) -> Tensor:
        if self.token_cache is None:
            return encode()
        return self.token_cache.get(content, encode).to(self._execution_device)

    def _encode_text(self, text: str) -> Tensor:
        parts = (self.tokenizer, self.text_encoder, text, self.config["max_text_tokens"])
        return self._once(text, lambda: encode_text(*parts))

    def _encode_reference(self, reference_image: np.ndarray, shot: Shot) -> Tensor:
        image = normalise(fit_frames(reference_image[None], shot.width, shot.height))
        return encode_video(self.vae, torch.from_numpy(image)[None].to(self._execution_device))

    # Once for each window, never for each step.

    def _encode_motion(self, driving_video: np.ndarray, hands: Hands | None, window: Window) -> Tensor:
        stretch = window.video_frames(self.info.frame_step)
        pixels = driving_video[stretch]
        place = self._execution_device, self.motion_encoder.dtype
        frames = torch.from_numpy(normalise(pixels))[None].to(*place)
        if hands is None:
            return self._once(pixels, lambda: self.motion_encoder(frames))
        crops, visible = map(torch.from_numpy, hands.normalised(stretch))
        shown = np.concatenate(
            [part[stretch].ravel() for part in (driving_video, hands.crops, hands.visible)]
        )
        encode = partial(self.motion_encoder, frames, crops.to(*place), visible.to(place[0]))
        return self._once(shown, encode)

    def _encode_camera(self, camera_path: CameraPath | None, window: Window, motion_tokens: Tensor) -> Tensor:
        if camera_path is None:
            return torch.zeros_like(motion_tokens[:, :, :1])
        frames = window.video_frames(self.info.frame_step)
        stretch = replace(
            camera_path,
            world_from_camera=camera_path.world_from_camera[frames],
            intrinsics=camera_path.intrinsics[frames],
        )
        hints = torch.from_numpy(camera_hints(stretch))[None]
        return self.camera_encoder(hints.to(self._execution_device, self.camera_encoder.dtype))

    def _branches(self, conditions: Conditions, empty_text: Tensor, shot: Shot) -> list[Branch]:
        place = self._execution_device, self.transformer.dtype
        return guidance_branches(
            conditions.to(*place),
            empty_text.to(*place),
            motion_scale=shot.motion_guidance_scale,
            text_scale=shot.text_guidance_scale,
        )

    # Denoising and decoding.

    def _denoise(
        self,
        lead_latents: Tensor,
        window: Window,
        branches: list[Branch],
        shot: Shot,
        generator: torch.Generator,
    ) -> Iterator[DenoisingStep]:
        _, channels, _, *size = lead_latents.shape
        shape = (1, channels, window.num_latent_frames - window.num_lead_latents, *size)
        noise = torch.randn(shape, generator=generator).to(lead_latents.device)
        return denoise(
            self.transformer, self.scheduler, lead_latents, noise, branches, shot.num_inference_steps
        )

    def _follow(
        self,
        latents: Tensor,
        steps: Iterator[DenoisingStep],
        progress: Progress,
        index: int,
        windows: list[Window],
        shot: Shot,
    ) -> Tensor:
        """Take a window's steps, reporting each; return the clip's latents with the new ones appended."""
        window, total = windows[index], len(windows) * shot.num_inference_steps
        shown, window_latents = window.num_latent_frames // 2, latents
        if index == 0:
            progress.report(Step("denoising", 0, total))
        for number, state in enumerate(steps, start=index * shot.num_inference_steps + 1):

            def preview(state: DenoisingStep = state) -> np.ndarray:
                return decode_preview(self.vae, state.clean_estimate()[:, :, shown : shown + 1])

            shown_frame = self.info.frame_step * (window.start + shown)
            progress.report(Step("denoising", number, total, preview, shown_frame))
            window_latents = state.latents
        return torch.cat([latents, window_latents[:, :, window.num_lead_latents :]], dim=2)

    def _settle(self) -> None:
        if self._execution_device.type == "cuda":
            torch.cuda.synchronize(self._execution_device)

    def use_less_memory(self) -> bool:
        """Go on with the next smaller memory plan; false where there is none."""
        return step_down(self, self._execution_device)

    # Files.

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> Self:
        """Load from a folder that `save_pretrained` wrote; weights are read from safetensors only.

        `threedimo.load_pipeline` does this by name, on the right device, and looks at every file before.
        """
        kwargs["use_safetensors"] = True
        info = read_model_info(str(pretrained_model_name_or_path))
        return super().from_pretrained(pretrained_model_name_or_path, info=info, **kwargs)

    def save_pretrained(self, save_directory: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
        """Write every component in the format of diffusers, and `threedimo.json` beside them."""
        super().save_pretrained(save_directory, *args, **kwargs)
        described = msgspec.json.format(msgspec.json.encode(self.info), indent=2)
        (Path(save_directory) / INFO_NAME).write_bytes(described + b"\n")

    def save_adapter(self, folder: str | os.PathLike[str], *, base: str | None = None) -> None:
        """Write only what the method adds to the generator: see `threedimo.adapters`.

        Args:
            folder: To write.
            base: What people call the generator without the motion layers; None means as the model.

        Raises:
            InvalidModel: An adapter's low-rank changes are merged into the generator.
        """
        save_adapter(
            folder,
            self.transformer,
            self.motion_encoder,
            self.camera_encoder,
            base=base or self.info.id,
            info=self.info,
        )

    def load_adapter(self, folder: str | os.PathLike[str], *, base: str | None = None) -> None:
        """Take encoders, motion layers and `info` from a folder that `save_adapter` wrote.

        Args:
            folder: To read.
            base: What people call this model, for messages; None means by its id.

        Raises:
            ModelNotFound: There is no such folder.
            InvalidModel: It was trained in another generator, is damaged, or lacks something.
        """
        info = read_adapter_info(folder)
        require_fit(self.components, info)
        device, dtype = self.motion_encoder.device, self.motion_encoder.dtype
        self.motion_encoder, self.camera_encoder = load_adapter(
            folder, self.transformer, base=base or self.info.id, dtype=dtype
        )
        self.info = info
        for encoder in (self.motion_encoder, self.camera_encoder):
            torch.nn.Module.to(encoder, device=device)
        if self.token_cache is not None:
            self.token_cache.clear()
