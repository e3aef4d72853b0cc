"""Tells callers who they are."""

from rtserver import App
from rtserver.app.given import Connection

app = App("whoami")


@app.rpc("whoami")
async def whoami(connection: Connection) -> dict[str, object]:
    return {"user": connection.user, "info": connection.info}
