"""Join credentials: one a join, and shown nowhere."""

from __future__ import annotations

import pytest
from remembering import HASH, KEY, SECRETS, TOKEN, Lab

from lab.command import CommandError
from lab.errors import LabError
from lab.stage import Stage


class TestSecrets:
    """A credential is minted for one join, travels in its script alone, and shows nowhere."""

    def test_each_join_gets_one_of_its_own_by_environment(self) -> None:
        lab = Lab()
        lab.run(Stage.WORKERS)
        texts = {call.machine: call.text for call in lab.journal.calls if call.name == "join"}
        for machine in ("master2", "master3"):
            assert (
                f"export JOIN_TOKEN={TOKEN}\nexport JOIN_CA_HASH={HASH}\nexport JOIN_CERTIFICATE_KEY={KEY}\n"
                in texts[machine]
            )
        assert "JOIN_CERTIFICATE_KEY" not in texts["worker1"], "a worker does not need the control plane's key"
        assert sum(call.name == "mint" for call in lab.journal.calls) == len(texts) == 4

    def test_none_is_told_labelled_or_recorded(self) -> None:
        lab = Lab()
        done = lab.run(Stage.WORKERS)
        shown = [
            *lab.told.lines,
            *(str(phase) for phase in lab.told.phases),
            *(call.label for call in lab.journal.calls),
            *done,
        ]
        shown += [call.text for call in lab.journal.calls if call.name != "join"]
        for secret in SECRETS:
            assert secret not in "\n".join(shown)

    @pytest.mark.parametrize("status", [0, 1])
    def test_none_is_in_the_message_of_a_mint_that_failed(self, status: int) -> None:
        lab = Lab(answer=lambda call: (status, f"{TOKEN}\n") if call.name == "mint" else None)
        with pytest.raises(LabError) as caught:
            lab.run(Stage.WORKERS)
        assert TOKEN not in str(caught.value) + repr(caught.value) + str(caught.value.__context__)

    def test_none_is_in_the_message_of_a_join_that_failed(self) -> None:
        lab = Lab(answer=lambda call: (1, "") if call.name == "join" else None)
        with pytest.raises(CommandError) as caught:
            lab.run(Stage.WORKERS)
        for secret in SECRETS:
            assert secret not in str(caught.value) + repr(caught.value)

    def test_what_a_shell_would_read_as_more_than_a_word_stays_one(self) -> None:
        lab = Lab(masters=1, workers=1, answer=lambda call: (0, "a'$(reboot) h") if call.name == "mint" else None)
        lab.run(Stage.WORKERS)
        join = next(call.text for call in lab.journal.calls if call.name == "join")
        assert """\nexport JOIN_TOKEN='a'"'"'$(reboot)'\n""" in join
