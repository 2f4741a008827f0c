"""Numbers of the picture that both renderers share; patterns and colours of places are in `scene`."""

from __future__ import annotations

SAMPLES = 2  # per pixel and axis
NEAR_M = 0.05

# Cells each way of the grid on the floor that holds the shadow, and empty ones that its blur needs.
SHADOW_CELLS = 64
SHADOW_BORDER = 4
# A closed body is crossed twice by each ray of the lamp; somewhat more closes the gaps between coarse faces.
SHADOW_GAIN = 0.7
# Darkening of the floor below the person: how strong, the height in metres at which it has halved, and how
# much each of these two parts counts.
CONTACT_STRENGTH = 0.6
CONTACT_M = (0.07, 0.5)
CONTACT_SHARES = (0.75, 0.25)

# Light reaches a little around the terminator: softer than a point.
WRAP = 0.2
# How much darker the person's outline is than what faces the camera: limbs stay readable before each other.
OUTLINE = 0.38

# Of a person's patterns, in periods: radius of a dot squared, radius of a logo squared, width of a stripe.
DOT_RADIUS2 = 0.09
LOGO_RADIUS2 = 0.25
STRIPE_WIDTH = 0.4

# Outdoors, things fade into the sky's colour over this distance, at most to this share.
HAZE_M = 110.0
HAZE_LIMIT = 0.5

# Samples of this share of a pattern fade a wall by half: details of bricks and boards are finer than others.
FINE_DETAIL = 0.08
COARSE_DETAIL = 0.3
