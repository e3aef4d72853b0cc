"""Tells callers who they are."""

from rtserver import App
from rtserver.app.given import Connection, User

app = App("whoami")


@app.rpc("whoami")
async def whoami(connection: Connection) -> dict[str, object]:
    return {"user": connection.user, "info": connection.info}


@app.get("/whoami")
async def who(user: User) -> dict[str, str]:
    return {"user": user.id}


@app.post("/whoami")
async def change(user: User) -> dict[str, str]:
    """What only the person may do, and no page of others in the person's name."""
    return {"changed": user.id}
