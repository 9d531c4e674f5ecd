"""`tiffin keys`: made once, shown once, revoked at once."""

from __future__ import annotations

import json

from tests.cli.command import run
from tests.server import Server


def test_a_key_is_made_listed_used_and_revoked(server: Server) -> None:
    made = json.loads(run(server, "keys", "create", "--name", "Ada [x]", "--project", "keys", "--json").stdout)
    listed = {key["id"]: key for key in json.loads(run(server, "keys", "list", "--json").stdout)["keys"]}
    assert listed[made["id"]]["name"] == "Ada [x]" and made["key"] not in str(listed)
    plain = run(server, "keys", "list")
    assert made["id"] in plain.stdout and "Ada [x]" in plain.stdout and made["key"] not in plain.stdout
    holder = Server(server.home, server.port, {"TIFFIN_API_KEY": made["key"]})
    assert json.loads(run(holder, "models", "list", "--json").stdout)["models"]
    assert run(holder, "keys", "list").returncode == 1, "a member may not look at keys"
    revoked = run(server, "keys", "revoke", made["id"])
    assert revoked.returncode == 0 and made["id"] in revoked.stdout
    assert run(holder, "models", "list").returncode == 1
    assert "revoked" in run(server, "keys", "list").stdout


def test_the_secret_alone_is_on_stdout(server: Server) -> None:
    made = run(server, "keys", "create", "--role", "reader", "--tokens-max", "10")
    assert made.stdout.startswith("tfn_") and len(made.stdout.split()) == 1 and "only time" in made.stderr
    holder = Server(server.home, server.port, {"TIFFIN_API_KEY": made.stdout.strip()})
    shown = run(holder, "chat", "Tell me a very long story.", "--json")
    assert shown.returncode == 1 and json.loads(shown.stdout)["error"]["type"] == "rate_limit_error"


def test_no_such_key_and_the_last_administrators_key_stay(server: Server) -> None:
    shown = run(server, "keys", "revoke", "key_nobody", "--json")
    assert shown.returncode == 1 and json.loads(shown.stdout)["error"]["type"] == "not_found"
    keys = json.loads(run(server, "keys", "list", "--json").stdout)["keys"]
    (admin,) = [key["id"] for key in keys if key["role"] == "admin" and not key["revoked"]]
    shown = run(server, "keys", "revoke", admin)
    assert shown.returncode == 1 and "last administrator" in shown.stderr
    assert run(server, "keys", "list").returncode == 0
