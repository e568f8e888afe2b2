"""That a token is found wherever a test shows one."""

import secrecy


def test_a_token_is_known_when_it_is_seen(local_kfp):
    token = local_kfp.token("alice/default-editor")
    assert secrecy.tells_token(f"Authorization: Bearer {token}\n") is True
    assert secrecy.tells_token(token.rpartition(".")[0]) is False  # nobody can use it so


def test_a_log_with_a_token_is_found(local_kfp, tmp_path, monkeypatch):
    monkeypatch.setattr(secrecy, "LOGS", {tmp_path / "good", tmp_path / "bad", tmp_path / "none"})
    (tmp_path / "good").write_text("a request")
    (tmp_path / "bad").write_text(f"a request by {local_kfp.token('users/bob@example.com')}")
    assert secrecy.telling_logs() == [tmp_path / "bad"]
