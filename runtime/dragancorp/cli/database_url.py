"""Which database the environment and the data folder name, and how its URL is shown."""

from pathlib import Path
from urllib.parse import urlsplit

from dragancorp.settings import Settings

FILE_NAME = "state.db"


def database_url(data: Path) -> str:
    """The URL of `UA_RUNTIME_DB_URL`, or of the file in the data folder. Raises `settings_invalid`."""
    return Settings.from_environment().runtime_db_url or f"sqlite:///{data / FILE_NAME}"


def shown(url: str) -> str:
    """The URL without its password and its options, which may hold secrets too."""
    parts = urlsplit(url)
    if parts.scheme.startswith("sqlite"):
        return url
    user, at, host = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{user.partition(':')[0]}{at}{host}{parts.path}"
