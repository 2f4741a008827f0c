"""The bounded types that fields of messages have."""

from __future__ import annotations

from typing import Annotated

import msgspec

Version = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Hash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
JobId = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
]
FileName = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9A-Za-z_][0-9A-Za-z_.\-]{0,63}(/[0-9A-Za-z_][0-9A-Za-z_.\-]{0,63})?\Z")
]
Label = Annotated[str, msgspec.Meta(max_length=200)]
Text = Annotated[str, msgspec.Meta(max_length=2000)]
Natural = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Count = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
Pixels = Annotated[int, msgspec.Meta(ge=1, le=16_384)]
Fps = Annotated[float, msgspec.Meta(gt=0, le=1000)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e10)]
Priority = Annotated[int, msgspec.Meta(ge=-100, le=100)]
Guidance = Annotated[float, msgspec.Meta(ge=0, le=50)]
Ratio = Annotated[float, msgspec.Meta(ge=0, le=1000)]
Credit = Annotated[int, msgspec.Meta(ge=1, le=64)]

StepCache = Annotated[
    str, msgspec.Meta(pattern=r"^(none|(first_block|mag|taylor):[0-9]{1,3}(\.[0-9]{1,6})?)\Z")
]
"""What of a denoising step is taken over from the one before, see `threedimo.presets`: "first_block:0.1"."""

Notes = Annotated[str, msgspec.Meta(max_length=4000)]
"""Plain words about what a model can and cannot do."""
