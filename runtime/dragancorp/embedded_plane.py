"""A plane that opens and closes with the application it is part of.

plane = EmbeddedPlane("sqlite:///state.db", lanes="lanes.yaml")
app = Litestar(plugins=[DragancorpPlugin(plane)])          # or, in Starlette and FastAPI:
app = FastAPI(lifespan=plane.lifespan)
app.mount("/dragan", asgi(plane))
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dragancorp.clock import Clock, SystemClock
from dragancorp.control_plane import ControlPlane
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.gateway.turns import EventT, Primary, Turn, closing
from dragancorp.lanes_file import Lane
from dragancorp.settings import Settings
from dragancorp_contracts.models.gateway_turn_v1 import TurnEvent


class EmbeddedPlane:
    """Where a plane is and how it is opened; nothing is read before `lifespan` or `async with` opens it.

    The arguments are those of `ControlPlane.open`; `grace_seconds` is how long running missions may take to end when it
    closes. It can be opened again after it was closed, as applications under test are.
    """

    def __init__(
        self,
        url: str,
        *,
        lanes: str | Path | Sequence[Lane],
        data: Path | None = None,
        serve_lanes: bool = True,
        clock: Clock | None = None,
        settings: Settings | None = None,
        primary: Primary[Any] | None = None,
        grace_seconds: float = 0.0,
    ) -> None:
        self.clock = clock or SystemClock()
        self._url = url
        self._open = partial(
            ControlPlane.open,
            url,
            lanes=lanes,
            data=data,
            serve_lanes=serve_lanes,
            clock=self.clock,
            settings=settings,
            primary=primary,
        )
        self._grace_seconds = grace_seconds
        self._plane: ControlPlane | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is open now."""
        return self._plane is not None

    @property
    def plane(self) -> ControlPlane:
        """The open plane. Raises `plane_not_open` before start-up and after shutdown."""
        if self._plane is None:
            raise DraganError(ErrorCode.PLANE_NOT_OPEN, f"the plane of {_shown(self._url)} is not open")
        return self._plane

    async def delegate(self, turn: Turn, *, primary: Primary[EventT]) -> AsyncGenerator[TurnEvent | EventT, None]:
        """`ControlPlane.delegate` of the open plane. Raises `plane_not_open` too."""
        async with closing(self.plane.delegate(turn, primary=primary)) as events:
            async for event in events:
                yield event

    @contextlib.asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """The `lifespan` of a Starlette, FastAPI or Litestar application: open while it runs."""
        async with self:
            yield

    async def __aenter__(self) -> Self:
        if self._plane is not None:
            raise RuntimeError("the plane is open already: one lifespan opens it, and one is enough")
        self._plane = await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        plane, self._plane = self._plane, None
        if plane is not None:
            await plane.close(grace_seconds=self._grace_seconds)


def _shown(url: str) -> str:
    """The URL without what stands before its host, which may hold a password."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
