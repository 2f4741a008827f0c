from __future__ import annotations

import pytest
import torch

from threedimo.errors import InvalidRequest
from threedimo.prompts import encode_text


def test_embeddings_are_those_of_the_wan_pipelines(pipeline):
    tokenizer, text_encoder = pipeline.tokenizer, pipeline.text_encoder
    text = "Front view. The camera remains static."
    embeddings = encode_text(tokenizer, text_encoder, text, 128)

    padded = tokenizer(text, padding="max_length", max_length=128, return_tensors="pt")
    length = int(padded.attention_mask.sum())
    with torch.no_grad():
        expected = text_encoder(padded.input_ids, padded.attention_mask).last_hidden_state
    assert embeddings.shape == (1, 128, 32)
    assert 1 < length < 128
    torch.testing.assert_close(embeddings[:, :length], expected[:, :length])
    assert not embeddings[:, length:].any()


def test_the_empty_text_is_its_end_token(pipeline):
    embeddings = encode_text(pipeline.tokenizer, pipeline.text_encoder, "", 128)
    assert embeddings[:, :1].any()
    assert not embeddings[:, 1:].any()


def test_a_text_that_is_too_long_is_refused_and_not_cut(pipeline):
    with pytest.raises(InvalidRequest, match=r"given: 129 tokens\).*at most 128 tokens"):
        encode_text(pipeline.tokenizer, pipeline.text_encoder, "a" * 127, 128)
    assert encode_text(pipeline.tokenizer, pipeline.text_encoder, "a" * 126, 128).shape == (1, 128, 32)
