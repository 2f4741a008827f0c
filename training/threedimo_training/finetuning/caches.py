"""What frozen networks make of the data, made once: text embeddings and target latents.

Files are named by their content (what was encoded, by which weights, at which size): other data or another
base never meets a stale file. A file is whole or not there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from threedimo.errors import StorageError
from threedimo.fingerprint import fingerprint
from threedimo.latents import encode_video
from threedimo.media.writing import storage_errors
from threedimo.prompts import encode_text
from threedimo_training.embedded.framewise_convolution import framewise_convolutions
from threedimo_training.shards.durable import write_file
from threedimo_training.trainer.loop import fast_attention


def content_key(*facts: object) -> str:
    """A file's stem that says what is in it."""
    return hashlib.sha256("\n".join(str(fact) for fact in facts).encode()).hexdigest()[:32]


def damaged_cache(file: Path, error: Exception) -> StorageError:
    """What to say about a cache file that cannot be read."""
    return StorageError(
        f"a cached file is damaged: {error}", given=file, remedy="delete it; the next call makes it again"
    )


class TextCache:
    """Text embeddings on the disk and, once used, in memory.

    Args:
        folder: Made if it is missing.
        tokenizer: Of the text encoder.
        text_encoder: Frozen.
        max_text_tokens: Length to which the embeddings are filled up.
    """

    def __init__(
        self,
        folder: Path,
        tokenizer: PreTrainedTokenizerBase,
        text_encoder: PreTrainedModel,
        max_text_tokens: int,
    ):
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._tokenizer, self._max_text_tokens = folder, tokenizer, max_text_tokens
        self._text_encoder: PreTrainedModel | None = text_encoder
        self._weights = fingerprint(text_encoder)
        self._seen: dict[str, Tensor] = {}

    def read(self, texts: list[str]) -> Tensor:
        """Embeddings (texts, max_text_tokens, text_dim) on the CPU; texts that are new are encoded.

        Raises:
            InvalidRequest: A text has more tokens than the model reads.
            StorageError: A file is damaged or cannot be written.
        """
        return torch.stack([self._read(text) for text in texts])

    def release(self) -> None:
        """Let go of the text encoder; from now on only texts that were read before can be read."""
        self._text_encoder = None

    def _read(self, text: str) -> Tensor:
        if text not in self._seen:
            file = self._folder / f"{content_key(self._weights, text)}.safetensors"
            if not file.exists():
                self._write(file, text)
            try:
                self._seen[text] = load(file.read_bytes())["text"]
            except (OSError, KeyError, SafetensorError) as error:
                raise damaged_cache(file, error) from error
        short = self._seen[text]
        return torch.cat([short, short.new_zeros(self._max_text_tokens - len(short), short.shape[1])])

    def _write(self, file: Path, text: str) -> None:
        assert self._text_encoder is not None, "all texts are read before the encoder is released"
        device = self._text_encoder.device
        # The same file whoever asks for it, inside a step or before.
        with torch.autocast(device.type, enabled=False), fast_attention(device):
            whole = encode_text(self._tokenizer, self._text_encoder, text, self._max_text_tokens)[0]
        filled = int(whole.abs().amax(dim=1).nonzero().max()) + 1  # what follows is padding
        write_file(file, save({"text": whole[:filled].cpu().contiguous()}, {"content": text}))


def encode_targets(autoencoder: AutoencoderKLWan, video: Tensor) -> Tensor:
    """Latents (batch, channels, latent_frames, height, width), 16 bits on the CPU; full precision inside.

    Args:
        autoencoder: Frozen.
        video: (batch, 3, frames, height, width) in [-1, 1], on any device.
    """
    device = autoencoder.device
    exact = torch.autocast(device.type, enabled=False)
    with torch.no_grad(), exact, fast_attention(device), framewise_convolutions(device):
        return encode_video(autoencoder, video.to(device)).half().cpu()


class LatentFile:
    """Latents of some samples, in one file.

    Args:
        file: Its name says what is in it.
    """

    def __init__(self, file: Path):
        self.file = file

    def make(self, count: int, latents_of: Callable[[int], Tensor]) -> None:
        """Encode `count` samples, unless the file is there.

        Raises:
            StorageError: The file cannot be written.
        """
        if self.file.exists():
            return
        latents = torch.stack([latents_of(number) for number in range(count)])
        content = save({"latents": latents.contiguous()}, {"shape": json.dumps(list(latents.shape))})
        write_file(self.file, content)

    def read(self, number: int) -> Tensor:
        """Latents (channels, latent_frames, height, width) of one sample.

        Raises:
            StorageError: The file is damaged.
        """
        try:
            with safe_open(self.file, framework="pt") as stored:
                return stored.get_slice("latents")[number]
        except (OSError, SafetensorError) as error:
            raise damaged_cache(self.file, error) from error
