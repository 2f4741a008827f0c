"""Stands where a user's vision-language model would: reads a picture, prints one line about it."""

import sys

from PIL import Image

with Image.open(sys.argv[-1]) as sheet:
    sys.stdout.write(f"{sys.argv[1]} {sheet.format} of {sheet.width}x{sheet.height} pixels.\n")
