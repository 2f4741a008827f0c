"""Films of a real portrait, which the tests of ingestion have too."""

from tests.training.ingest.conftest import film, portrait

__all__ = ["film", "portrait"]
