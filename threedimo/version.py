"""The version of the library, the server and the Blender extension, which are released together."""

VERSION = "0.1.0"
