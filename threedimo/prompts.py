"""Text to embeddings, as the Wan generators were trained to read them."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from threedimo.errors import InvalidRequest


@torch.no_grad()
def encode_text(
    tokenizer: PreTrainedTokenizerBase, text_encoder: PreTrainedModel, text: str, max_text_tokens: int
) -> Tensor:
    """Encode one text; the empty text is a text like any other.

    The embeddings after the text's end are zeros, up to a fixed length. The generator reads them without a
    mask and was trained so: the length belongs to the model.

    Args:
        tokenizer: Of the text encoder.
        text_encoder: T5 or UMT5 encoder.
        text: Any text.
        max_text_tokens: The fixed length.

    Returns:
        (1, max_text_tokens, text_dim)

    Raises:
        InvalidRequest: The text has more tokens than the model reads.
    """
    tokens = tokenizer(text, return_tensors="pt")
    num_tokens = tokens.input_ids.shape[1]
    if num_tokens > max_text_tokens:
        raise InvalidRequest(
            "the text is longer than the model reads",
            given=f"{num_tokens} tokens",
            allowed=f"at most {max_text_tokens} tokens",
            remedy="shorten the text",
        )
    device = text_encoder.device
    embeddings = text_encoder(tokens.input_ids.to(device), tokens.attention_mask.to(device)).last_hidden_state
    padding = embeddings.new_zeros(1, max_text_tokens - num_tokens, embeddings.shape[2])
    return torch.cat([embeddings, padding], dim=1)
